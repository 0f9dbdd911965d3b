"""Components are found by the names of their files."""

import multiprocessing
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.component_source import Description, option_of, syntax_digest
from benchmark.errors import ComponentError
from benchmark.registry import KINDS, Registry, load_plugins

PLUGIN = '''\
"""A backbone of the user's."""

from torch import Tensor, nn

from backbones import Backbone


class MyNet(Backbone):
    citation = "@misc{mine}"
    origin = "ours"

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.out_channels = width
        self.body = nn.Conv2d(3, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "my_net.py"
    file.write_text(PLUGIN)
    return file


def test_a_file_is_a_component_of_its_name() -> None:
    """Listing finds the files of a package, without those that begin with an underscore."""
    names = Registry().names("backbone")
    assert {"gunet", "nafnet", "restormer_lite"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
    assert Registry().find("backbone", "nafnet").__module__ == "backbones.nafnet"


def test_an_unknown_name_gets_the_near_one() -> None:
    """A misspelt component is an error that suggests the right one."""
    with pytest.raises(ComponentError, match="no backbone 'nafnt'; did you mean 'nafnet'"):
        Registry().find("backbone", "nafnt")


@pytest.mark.parametrize(("former", "present"), [("region", "mask_bce_dice"), ("maps", "map_l1")])
def test_a_former_name_gets_the_present_one(former: str, present: str) -> None:
    """A component's former name is an error that says its present name."""
    with pytest.raises(ComponentError, match=f"^no loss '{former}'; it is called '{present}' now$"):
        Registry().find("loss", former)


def test_a_plugin_file_is_a_component_of_its_kind(plugin: Path) -> None:
    """A backbone in a file of the user's is listed, found and created like one of the project's."""
    registry = Registry((plugin,))
    assert "my_net" in registry.names("backbone")
    assert "my_net" not in registry.names("head")
    assert registry.create("backbone", "my_net", {"width": 6}).out_channels == 6


HEAD_PLUGIN = '''\
"""A head of the user's."""

from torch import Tensor, nn

from heads import Head, Restoration


class MyHead(Head):
    formula = "J = I"
    origin = "ours"

    def __init__(self, in_channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        return Restoration(degraded * self.scale, {})
'''


@pytest.fixture
def same_stem(tmp_path: Path) -> tuple[Path, Path]:
    """Two plugins `my_net.py` in two folders: a backbone and a head."""
    files = tmp_path / "nets/my_net.py", tmp_path / "heads/my_net.py"
    for file, text in zip(files, (PLUGIN, HEAD_PLUGIN), strict=True):
        file.parent.mkdir()
        file.write_text(text)
    return files


def described(components: tuple[Any, ...]) -> list[tuple[str, str]]:
    """What a worker process receives: class and file of each component."""
    return [
        (type(component).__name__, sys.modules[type(component).__module__].__file__ or "") for component in components
    ]


def test_plugins_with_the_same_file_name_do_not_collide(same_stem: tuple[Path, Path]) -> None:
    """Each is found as its own kind, and a spawned process unpickles instances of both."""
    backbone_file, head_file = same_stem
    registry = Registry(same_stem)
    components = registry.create("backbone", "my_net", {}), registry.create("head", "my_net", {}, in_channels=4)
    expected = [("MyNet", str(backbone_file)), ("MyHead", str(head_file))]
    assert described(components) == expected
    with multiprocessing.get_context("spawn").Pool(1, partial(load_plugins, same_stem)) as pool:
        assert pool.apply(described, (components,)) == expected


def test_plugins_with_the_same_name_and_kind_are_refused(same_stem: tuple[Path, Path]) -> None:
    """Which one is meant would depend on their order; the same file given twice is no conflict."""
    backbone_file, other = same_stem
    other.write_text(PLUGIN)
    assert Registry((backbone_file, backbone_file)).find("backbone", "my_net").__name__ == "MyNet"
    with pytest.raises(
        ComponentError, match=r"my_net\.py and .*my_net\.py both hold backbone 'my_net'; rename one file"
    ):
        Registry(same_stem).find("backbone", "my_net")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in Registry().names(kind)])
def test_a_component_is_described_without_import_as_with_it(kind: str, name: str) -> None:
    """Facts, options with defaults and choices, and sizes read from the source are those of the class."""
    component = Registry().find(kind, name)
    options = Registry().options_model(kind, name).model_fields
    read = Registry().describe(kind, name)
    assert read.facts == {fact: getattr(component, fact) for fact in KINDS[kind].facts}
    assert read.sizes == getattr(component, "sizes", {})
    assert read.options == {option: option_of(field) for option, field in options.items()}
    assert list(read.options) == list(options)


def test_descriptions_of_networks_import_no_torch() -> None:
    """This is what makes `list` quick."""
    code = (
        "import sys\nfrom benchmark.registry import Registry\nregistry = Registry()\n"
        "for kind in ('backbone', 'head', 'loss'):\n"
        "    [registry.describe(kind, name) for name in registry.names(kind)]\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plugin_is_described_as_the_class_it_is(plugin: Path) -> None:
    """Also where it has the name of a component of the project."""
    file = plugin.rename(plugin.with_name("nafnet.py"))
    read = Registry((file,)).describe("backbone", "nafnet")
    assert isinstance(read, Description) and read.facts["citation"] == "@misc{mine}" and list(read.options) == ["width"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import not_there", "not_there"),
        ("raise ValueError('two\\nlines')", r"ValueError: two\\nlines"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x = " + "[" * 5000, "SyntaxError"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_a_broken_plugin_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """A plugin that cannot be imported is an error of the user's, with its reason."""
    file = tmp_path / f"broken_{len(text)}.py"
    file.write_text(text)
    with pytest.raises(ComponentError, match=message):
        Registry((file,)).find("backbone", file.stem)


def test_a_file_with_two_components_is_refused(tmp_path: Path) -> None:
    """One component a file: with two, the name would be ambiguous."""
    file = tmp_path / "twins.py"
    file.write_text(
        PLUGIN + PLUGIN.replace("class MyNet", "class Other").partition("class Other")[1] + "(Backbone): ...\n"
    )
    with pytest.raises(ComponentError, match="exactly one subclass of Backbone"):
        Registry((file,)).find("backbone", "twins")


def test_bad_options_of_a_component_are_a_user_error() -> None:
    """What a constructor refuses comes back as one line that names the component."""
    with pytest.raises(ComponentError, match="backbone 'gunet'"):
        Registry().create("backbone", "gunet", {"depths": [1, 1]})


def test_the_digest_ignores_comments_and_docstrings(tmp_path: Path) -> None:
    """Only a change that can act on results changes the digest."""
    file = tmp_path / "part.py"
    texts = [
        "def f():\n    return 1\n",
        '# why\ndef f():\n    """What."""\n    return (1)\n',
        "def f():\n    return 2\n",
    ]
    digests = []
    for text in texts:
        file.write_text(text)
        digests.append(syntax_digest([file]))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("line", ["import my_helper", "from my_helper import x", "from .my_helper import x"])
def test_the_digest_follows_files_beside_the_component(tmp_path: Path, line: str) -> None:
    """A helper that lies beside a plugin belongs to its source, however it is imported."""
    plugin, helper = tmp_path / "my_net.py", tmp_path / "my_helper.py"
    plugin.write_text(f"def later():\n    {line}\n" + PLUGIN.partition("\n\n")[2])
    digests = []
    for value in (1, 2):
        helper.write_text(f"x = {value}\n")
        digests.append(Registry((plugin,)).digest("backbone", "my_net"))
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    origin = "ours"\n', "", "needs a class attribute 'origin'"),
        ("def forward(", "def forwards(", "abstract method"),
        ("width: int = 4", "width: Integer = 4", "Integer"),
    ],
)
def test_a_component_that_breaks_its_contract_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is missing is named in one line, not found out in the middle of a run."""
    file = tmp_path / f"faulty_{len(message)}.py"
    file.write_text(PLUGIN.replace(old, new))
    with pytest.raises(ComponentError, match=message):
        Registry((file,)).create("backbone", file.stem, {})


def test_the_digest_follows_imports_among_components(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A helper file that a component imports belongs to the component's source."""
    with_helper = tmp_path / "with_helper.py"
    with_helper.write_text(PLUGIN.replace("from backbones import Backbone", "from backbones import Backbone, nafnet"))
    without = tmp_path / "without.py"
    without.write_text(PLUGIN)
    registry = Registry((with_helper, without))
    digests = {name: registry.digest("backbone", name) for name in ("with_helper", "without")}
    assert digests["with_helper"] != digests["without"]


@pytest.mark.parametrize(("name", "reason"), [("x" * 300, "no such file"), (".", "is no regular file")])
def test_a_plugin_must_be_a_file(tmp_path: Path, name: str, reason: str) -> None:
    """A name that is too long is no file, and a folder is none, either."""
    with pytest.raises(ComponentError, match=f"{reason}; expected a Python file"):
        Registry((tmp_path / name,))


@pytest.mark.parametrize("options", [{"depths": [10**9, 1, 1]}, {"width": 10**9}])
def test_a_network_of_billions_of_blocks_is_refused(options: dict[str, object]) -> None:
    """Building it would fill the memory of the machine."""
    with pytest.raises(ValidationError, match="at most 65,536"):
        Registry().create("backbone", "nafnet", options)
