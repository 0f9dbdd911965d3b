"""docs/own_pairs.md: its experiments load, its commands parse, its messages are those that users get."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from benchmark.cli import cli
from benchmark.cli.options import matching_rows
from benchmark.data import Source
from benchmark.errors import BenchmarkError
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import source_id
from benchmark.registry import Registry
from benchmark.runner.context import open_sources

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/own_pairs.md").read_text(encoding="utf-8")
COMPONENTS = (ROOT / "docs/own_components.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


PAIRS, NETWORK_ROW, FACES, MASKED = blocks(PAGE, "yaml")
MESSAGES = blocks(PAGE, "text")[0].splitlines()
COMMANDS = re.findall(r"^python -m benchmark (.*)$", PAGE.replace("\\\n", ""), re.MULTILINE)
SPLITS = {"train": ["anna.png", "sub/bo.png"], "val": ["cleo.png"], "test": ["dan.png"]}


def save_picture(file: Path, side: int = 256) -> None:
    """Write an image of coarse random squares, different for each name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    squares = np.random.default_rng(list(str(file).encode())).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(squares).resize((side, side)).save(file)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user brings: pairs, faces, masks; and the files of the page."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    for split, faces in SPLITS.items():
        for side in ("degraded", "target"):
            for index in (6, 7):
                save_picture(folder / f"pairs/{split}/{side}/face_{index:04d}.png")
        for face in faces:
            save_picture(folder / "portraits" / face)
            save_picture(folder / "masks" / face)
    (folder / "portraits/splits.json").write_text(json.dumps(SPLITS))
    for name, text in (("mine", PAIRS), ("faces", FACES), ("masked", MASKED)):
        (folder / f"{name}.yaml").write_text(text)
    (network,) = (block for block in blocks(COMPONENTS, "python") if block.startswith("# my_net.py"))
    (folder / "my_net.py").write_text(network)
    return folder


@pytest.fixture
def user(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the user's folder that a test may change; commands are called in it."""
    folder = Path(shutil.copytree(pictures, tmp_path / "user"))
    monkeypatch.chdir(folder)
    return folder


def opened(experiment: Experiment, registry: Registry) -> dict[str, Source]:
    """The sources of the base row by split, after the checks that `run` makes."""
    sources = open_sources(experiment.data, registry)
    return {split: sources[source_id(spec)] for split, spec in experiment.rows[0].recipe.data.items()}


@pytest.mark.parametrize(
    ("name", "first", "counts"),
    [
        ("mine", ["face_0006", "face_0007"], (2, 2, 2)),
        ("faces", ["anna__v0", "sub/bo__v0"], (8, 1, 3)),
        ("masked", ["anna__v0", "sub/bo__v0"], (8, 1, 3)),
    ],
)
def test_its_experiments_find_their_data(user: Path, name: str, first: list[str], counts: tuple[int, ...]) -> None:
    """The YAML of the page loads, and each split has the pairs that the text says."""
    sources = opened(load(user / f"{name}.yaml", Registry()), Registry())
    assert [len(sources[split]) for split in ("train", "val", "test")] == list(counts)
    if name != "faces":  # squares show no skin without a mask
        assert [sources["train"].read(index).name for index in (0, 1)] == first


def test_masks_are_those_of_the_page(user: Path) -> None:
    """The settings below `extends` add to those of the file that is extended."""
    data = load(user / "masked.yaml", Registry()).rows[0].recipe.sources
    assert {s: settings["mask_folder"] for s, settings in data.items()} == dict.fromkeys(data, str(user / "masks"))
    assert data["train"]["split"] == "train" and data["train"]["versions"] == 4


def parsed(line: str) -> tuple[click.Command, click.Context]:
    """The command of a line, with its options checked but not run."""
    command: click.Command = cli
    arguments = shlex.split(line)
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, context, name)
    return command, command.make_context(command.name, arguments)


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_are_understood(user: Path, line: str) -> None:
    """Every command has the options given; experiments load with what they set, and find rows and data."""
    command, context = parsed(line)
    if command.name in ("run", "plan"):
        options = context.params
        if options["plugins"]:
            (user / "mine.yaml").write_text(PAIRS + NETWORK_ROW)
        registry = Registry(options["plugins"])
        experiment = load(options["file"], registry, options["sets"])
        assert matching_rows(options["rows"], [row.name for row in experiment.rows])
        assert all(len(source) for source in opened(experiment, registry).values())
    else:
        assert command.name in ("render", "auto")


def remove_partner(user: Path) -> None:
    (user / "pairs/train/target/face_0007.png").rename(user / "pairs/train/target/face_7.png")


def shrink_target(user: Path) -> None:
    save_picture(user / "pairs/train/target/face_0007.png", 128)


def cut_off(user: Path) -> None:
    file = user / "pairs/train/target/face_0007.png"
    file.write_bytes(file.read_bytes()[:3000])


def misspell(user: Path, old: str, new: str) -> None:
    (user / "mine.yaml").write_text(PAIRS.replace(old, new, 1))


MISTAKES: list[Callable[[Path], None]] = [
    remove_partner,
    shrink_target,
    cut_off,
    lambda user: misspell(user, "target: pairs/train/target}", "target: pairs/train/targets}"),
    lambda user: misspell(user, "degraded: ", "degrade: "),
    lambda user: misspell(user, "pairs/test/degraded, target: pairs/test", "pairs/train/degraded, target: pairs/train"),
]


@pytest.mark.parametrize(("message", "mistake"), list(zip(MESSAGES, MISTAKES, strict=True)))
def test_its_messages_are_those_that_come(user: Path, message: str, mistake: Callable[[Path], None]) -> None:
    """Each mistake that the page quotes has that message; before it every image could be read."""

    def read_all() -> None:
        for source in opened(load(user / "mine.yaml", Registry()), Registry()).values():
            for index in range(len(source)):
                source.read(index)

    read_all()
    mistake(user)
    with pytest.raises(BenchmarkError) as error:
        read_all()
    assert message in str(error.value).replace(f"{user}/", "")
