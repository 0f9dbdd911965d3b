"""Weights from elsewhere: read as data, renamed exactly, refused with reasons."""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backbones import Backbone, Published
from benchmark.errors import CheckpointError, ComponentError
from benchmark.files import digest_of
from benchmark.model import Restorer, build
from benchmark.model.build import build_on_meta, find_config
from benchmark.model.pickle_structure import check_structure
from benchmark.model.published import Fit, best_fit, match_weights
from benchmark.model.weight_files import WRAPPERS, WeightSet, read_checkpoint, write_weights
from benchmark.registry import Registry
from heads.residual import Residual

GOLDENS = Path(__file__).parents[1] / "goldens"
REGISTRY = Registry()
GUNET = {"name": "gunet", "width": 8, "depths": [1, 1, 1, 2, 1, 1, 1]}
NAFNET = {"name": "nafnet", "width": 8, "depths": [1, 1, 1, 1, 1]}
RESIDUAL = {"name": "residual"}


def weights_of(golden: str) -> dict[str, Tensor]:
    """The weights of a golden under the authors' names."""
    stored = load_file(GOLDENS / f"{golden}.safetensors")
    return {key[3:]: value for key, value in stored.items() if key.startswith("sd/")}


def blank(network: str) -> dict[str, Tensor]:
    """Zeros under the authors' names and in their shapes, of a published network."""
    keys = json.loads(gzip.decompress((GOLDENS / f"full/{network}.keys.json.gz").read_bytes()))["keys"]
    return {key: torch.zeros(shape) for key, shape, _ in keys}


def saved(content: Any, file: Path) -> Path:
    torch.save(content, file)
    return file


def with_weights(file: Path, backbone: dict[str, Any], head: dict[str, Any]) -> Restorer:
    return build({"backbone": backbone, "head": head, "weights": {"file": str(file), "sha256": digest_of(file)}})


def sizes_of(backbone: str) -> dict[str, dict[str, Any]]:
    component = REGISTRY.find("backbone", backbone)
    head = component.published.head
    return {
        size: {"backbone": {"name": backbone, **options}, "head": head} for size, options in component.sizes.items()
    }


def fitted(content: Any, file: Path) -> Fit:
    """What of a checkpoint is taken for the network `SMALL` belongs to."""
    return best_fit(read_checkpoint(saved(content, file)), Restorer(Small(), Residual(2)))


PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net_g.", "generator.", "my.own.wrapper."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", [None, *WRAPPERS, "params_ema", "state_dict_ema", "weights of mine"])
def test_weights_come_out_of_every_wrapper(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    """Bare or wrapped, under any prefix, with what else a training program keeps beside them; nothing was chosen."""
    weights = {f"{prefix}{key}": tensor for key, tensor in SMALL.items()}
    content = {wrapper: weights, "epoch": 7, "optimizer": {"state": {}}} if wrapper else weights
    fit = fitted(content, tmp_path / "c.pth")
    assert not fit.mismatch and not fit.choice
    assert torch.equal(fit.weights["backbone.conv.weight"], SMALL["body.weight"])


@pytest.mark.parametrize(
    ("content", "name", "others"),
    [
        ({"params": "raw", "params_ema": "average"}, "params_ema", ("params (which fit as well)",)),
        ({"state_dict": "raw", "state_dict_ema": "average"}, "state_dict_ema", ("state_dict (which fit as well)",)),
        ({"model": "raw", "ema": {"module": "average"}}, "ema.module", ("model (which fit as well)",)),
        ({"netD": {"a": torch.zeros(1)}, "netG": "average"}, "netG", ()),
        ({"optimizer": {"exp_avg": "raw"}, "model": "average"}, "model", ()),
        ({"params_ema": "broken", "params": "average"}, "params", ("params_ema (1 unusable: body.bias is not finite",)),
    ],
)
def test_of_several_sets_the_average_that_fits_is_taken_and_the_choice_is_stated(
    tmp_path: Path, content: dict[str, Any], name: str, others: tuple[str, ...]
) -> None:
    """An average is what the authors evaluated; a discriminator does not fit; moments of Adam are no weights."""
    zeros = {key: torch.zeros_like(tensor) for key, tensor in SMALL.items()}
    values = {"raw": zeros, "average": SMALL, "broken": {**SMALL, "body.bias": torch.full((2,), torch.nan)}}

    def filled(part: Any) -> Any:
        return {key: filled(value) for key, value in part.items()} if isinstance(part, dict) else values.get(part, part)

    fit = fitted(filled(content), tmp_path / "c.pth")
    assert fit.source.name == name and not fit.mismatch
    assert torch.equal(fit.weights["backbone.conv.weight"], SMALL["body.weight"])
    assert len(fit.others) == len(others) and all(map(str.startswith, fit.others, others))
    assert bool(fit.choice) == bool(others)


def test_two_networks_under_two_prefixes(tmp_path: Path) -> None:
    """mmagic keeps generator and its average in one mapping, beside the discriminator and a counter."""
    weights = {f"generator.{key}": torch.zeros_like(tensor) for key, tensor in SMALL.items()}
    weights |= {f"generator_ema.{key}": tensor for key, tensor in SMALL.items()}
    weights |= {"discriminator.a": torch.zeros(1), "step": torch.tensor(3)}
    fit = fitted({"state_dict": weights}, tmp_path / "c.pth")
    assert torch.equal(fit.weights["backbone.conv.weight"], SMALL["body.weight"])
    assert fit.choice == (
        "took the weights in state_dict: generator_ema.*, not those in state_dict: generator.* (which fit as well) "
        "and 5 tensors with other prefixes"
    )


@pytest.mark.parametrize("name", ["c.safetensors", "c.pth", "c.bin", "c"])
@pytest.mark.parametrize("form", ["safetensors", "zip", "old"])
def test_the_content_tells_the_format_and_not_the_ending(tmp_path: Path, form: str, name: str) -> None:
    """All three forms in which weights are published are read under any name."""
    if form == "safetensors":
        save_file(SMALL, tmp_path / name)
    else:
        torch.save({"params": SMALL}, tmp_path / name, _use_new_zipfile_serialization=form == "zip")
    (weights, *_) = read_checkpoint(tmp_path / name)
    assert torch.equal(weights.tensors["tail.weight"], SMALL["tail.weight"])


def test_numbers_of_numpy_beside_the_weights_are_no_obstacle(tmp_path: Path) -> None:
    """Training programs keep their best score as a NumPy scalar, and curves as arrays."""
    content = {
        "state_dict": SMALL,
        "best": np.float64(31.5),
        "step": np.int64(3),
        "curve": np.zeros((2, 3), np.float32),
    }
    assert not fitted(content, tmp_path / "c.pth").mismatch


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (torch.full((2,), torch.nan), "body.bias is not finite"),
        (torch.tensor([1.0, torch.inf]), "body.bias is not finite"),
        (torch.tensor([1e300, 1.0], dtype=torch.float64), "body.bias is not finite"),
        (torch.ones(2, dtype=torch.int8), "body.bias is int8; expected float16, bfloat16, float32 or float64"),
        (torch.ones(2, dtype=torch.bool), "body.bias is bool"),
        (torch.ones(2, dtype=torch.complex64), "body.bias is complex64"),
        (torch.ones(2).to(torch.float8_e4m3fn), "body.bias is float8_e4m3fn"),
        (torch.ones(2).to_sparse(), "body.bias is sparse"),
        (torch.ones(2, device="meta"), "body.bias has no data"),
    ],
)
def test_tensors_that_are_no_weights_are_named_with_the_reason(tmp_path: Path, bad: Tensor, reason: str) -> None:
    """Of the right name and shape, and still nothing to compute with."""
    fit = fitted({**SMALL, "body.bias": bad}, tmp_path / "c.pth")
    assert fit.mismatch and not fit.weights and reason in str(fit.mismatch)


def test_a_view_of_one_number_takes_no_memory(tmp_path: Path) -> None:
    """A stride of 0 makes 1.2 TB of four bytes; the shape is refused before anything is computed with it.

    Nor does it matter whether so many bytes can be counted in 64 bits.
    """
    for shape in ((3, 10**6, 10**5), (4 * 10**6, 10**6, 10**6)):
        fit = fitted({**SMALL, "tail.weight": torch.zeros(1).expand(shape)}, tmp_path / "c.pth")
        assert f"head.conv.weight {list(shape)}, expected [3, 2, 3, 3]" in str(fit.mismatch)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A megabyte of zeros packed a thousandfold is told with both sizes."""
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "large.pth")
    with (
        zipfile.ZipFile(tmp_path / "large.pth") as source,
        zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in source.infolist():
            packed.writestr(entry.filename, source.read(entry))
    with pytest.raises(CheckpointError, match=r"c\.pth: its \d+,\d+ bytes would become 4,0\d\d,\d+, so it is not read"):
        read_checkpoint(tmp_path / "c.pth")


READ = """
import sys
from pathlib import Path
from benchmark.errors import CheckpointError
from benchmark.model.weight_files import read_checkpoint
for name in sys.argv[1:]:
    try:
        read_checkpoint(Path(name))
    except CheckpointError as error:
        print(error)
"""


def bomb(levels: int, copies: int) -> bytes:
    """A pickle of a mapping whose key is a tuple of copies of a tuple of copies and so on."""
    put, get = (
        (lambda number: b"r" + number.to_bytes(4, "little")),
        (lambda number: b"j" + number.to_bytes(4, "little")),
    )
    tuples = (b"(" + copies * get(level) + b"t" + put(level + 1) for level in range(levels))
    return b"\x80\x02}(" + b")" + put(0) + b"".join(tuples) + get(levels) + b"K\x01u."


@pytest.mark.parametrize(
    ("levels", "copies", "message"), [(20, 2, None), (24, 2, "10,000,000 objects"), (600, 1, "602 deep")]
)
def test_the_structure_of_a_pickle_has_a_bound(levels: int, copies: int, message: str | None) -> None:
    """Of parts, where each use of an object counts, and of levels."""
    with pytest.raises(CheckpointError, match=message) if message else nullcontext():
        check_structure(io.BytesIO(bomb(levels, copies)))


@pytest.mark.slow
def test_small_pickles_of_large_or_deep_objects_are_refused_before_they_are_built(tmp_path: Path) -> None:
    """The hash of such a key would take for ever, or end the process; in a zip file, and in the old format, too."""
    torch.save(SMALL, tmp_path / "sound.pth")
    files = [tmp_path / name for name in ("wide.pth", "wider.pth", "deep.pth", "old.pth")]
    for file, levels, copies in zip(files, (64, 9, 5000), (2, 200, 1), strict=False):
        with zipfile.ZipFile(tmp_path / "sound.pth") as source, zipfile.ZipFile(file, "w") as changed:
            for entry in source.infolist():
                is_pickle = entry.filename.endswith("data.pkl")
                changed.writestr(entry.filename, bomb(levels, copies) if is_pickle else source.read(entry))
    files[-1].write_bytes(bomb(64, 2))
    command = [sys.executable, "-c", READ, *map(str, files)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout.splitlines()
    large = "it would become more than 10,000,000 objects, so it is not read"
    deep = "its objects lie 5,002 deep in each other, so it is not read"
    assert told == [f"{file}: {reason}" for file, reason in zip(files, (large, large, deep, large), strict=True)]


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    """A pipe without a writer and a device without an end are refused, not read."""
    os.mkfifo(tmp_path / "pipe.pth")
    for file in (tmp_path / "pipe.pth", Path("/dev/zero"), tmp_path):
        with pytest.raises(CheckpointError, match=r"cannot be read: is a (pipe|device|folder), not a regular file"):
            read_checkpoint(file)


def test_names_that_cannot_be_printed_stay_on_one_line(tmp_path: Path) -> None:
    """A line feed, half a character or a megabyte in a key of the file neither breaks the message nor the terminal."""
    for key in ("a\nb", "\ud800", "x" * 10**6):
        message = str(fitted({**SMALL, key: torch.zeros(1)}, tmp_path / "c.pth").mismatch)
        assert message.startswith("1 unexpected: ") and message.isprintable() and len(message) < 200
        message.encode()


class Malicious:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("plain", [False, True], ids=["torch.save", "pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, plain: bool) -> None:
    """A file that would run a command when unpickled is told with what it holds; the command does not run."""
    mark, file = tmp_path / "ran", tmp_path / "c.pth"
    if plain:
        file.write_bytes(pickle.dumps({"params": Malicious(mark)}, 2))
    else:
        torch.save({"params": {"a": torch.zeros(1)}, "extra": Malicious(mark)}, file)
    with pytest.raises(CheckpointError, match=r"c\.pth: holds posix\.system, which could run code, so it is not read"):
        read_checkpoint(file)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Malicious(mark)))
    assert mark.exists(), "the test's own command does nothing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"c\.pth: is not a readable checkpoint"),
        (b"not a checkpoint", r"c\.pth: is not a readable checkpoint"),
        (None, r"c\.pth: cannot be read: No such file"),
        ([1, 2], "holds no weights, but a list"),
        ({}, "holds no weights, but an empty mapping"),
        ({"params": {}}, "holds no weights, but a dict"),
        (
            {"epoch": 3},
            "holds no weights, but a dict; expected tensors by name, bare or in model_state_dict, state_dict,",
        ),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: Any, message: str) -> None:
    """Missing, damaged and foreign files are an error of one line that names the file."""
    file = tmp_path / "c.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(file)
    assert "\n" not in str(caught.value)


def test_the_head_works_in_units_of_0_to_1(tmp_path: Path) -> None:
    """gUNet adds its correction in [-1, 1], the head in [0, 1]: the last convolution is halved exactly, it alone."""
    official = weights_of("gunet_b8_7stage")
    state = with_weights(saved({"state_dict": official}, tmp_path / "c.pth"), GUNET, RESIDUAL).state_dict()
    for leaf in ("weight", "bias"):
        assert torch.equal(state[f"head.conv.{leaf}"], official[f"outconv.proj.0.{leaf}"].float() / 2)
        assert torch.equal(state[f"backbone.stem.{leaf}"], official[f"inconv.proj.{leaf}"].float())
    assert torch.equal(state["backbone.stages.3.1.norm.running_var"], official["layers.3.blocks.1.norm.running_var"])


def test_norms_of_another_form_are_reshaped(tmp_path: Path) -> None:
    """Scales kept as 1 C 1 1 become C; a tensor with as many numbers in another order of sides is refused."""
    official = weights_of("nafnet_w8_e11_m1_d11")
    norm = official["encoders.0.0.norm1.weight"]
    official["encoders.0.0.norm1.weight"] = norm.view(1, -1, 1, 1)
    head = {**RESIDUAL, "padding": "zeros"}
    state = with_weights(saved(official, tmp_path / "c.pth"), NAFNET, head).state_dict()
    assert torch.equal(state["backbone.stages.0.0.spatial_norm.weight"], norm.float())
    official["intro.weight"] = official["intro.weight"].view(3, 8, 3, 3)
    with pytest.raises(
        CheckpointError, match=r"1 of another shape: backbone.stem.weight \[3, 8, 3, 3\], expected \[8, 3"
    ):
        with_weights(saved(official, tmp_path / "c.pth"), NAFNET, head)


def test_missing_and_unexpected_keys_are_listed(tmp_path: Path) -> None:
    """With their numbers, the first few by name: ours where one is missing, the file's where it has one too many."""
    official = weights_of("nafnet_w8_e11_m1_d11")
    kept = {key: value for key, value in official.items() if not key.startswith("decoders.1.")}
    file = saved({**kept, "extra.weight": torch.zeros(2)}, tmp_path / "c.pth")
    missing = len(official) - len(kept)
    with pytest.raises(CheckpointError) as caught:
        with_weights(file, NAFNET, {**RESIDUAL, "padding": "zeros"})
    assert f"does not fit backbone 'nafnet' with head 'residual' as described: {missing} missing: " in str(caught.value)
    assert "backbone.stages.4.0." in str(caught.value) and ", ...; 1 unexpected: extra.weight" in str(caught.value)


class Small(Backbone):
    """One convolution; its reference implementation has no bias in the last one, and keeps a buffer."""

    published = Published(
        keys=((r"body\.(\w+)", r"backbone.conv.\1"), (r"(old|tail)\.(\w+)", r"head.conv.\2")),
        head={"name": "residual", "padding": "zeros"},
        zeros=("head.conv.bias",),
        recomputed=(r"grid(\.\w+)?",),
        head_scale=-1.0,
    )

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 2
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


SMALL = {"body.weight": torch.ones(2, 3, 1, 1), "body.bias": torch.ones(2), "tail.weight": torch.rand(3, 2, 3, 3)}


def test_what_a_backbone_says_of_its_weights_is_followed() -> None:
    """Zeros are filled in, recomputed buffers left out, the head's sign applied; a bias that is there stays."""
    restorer = Restorer(Small(), Residual(2))
    weights, misfit = match_weights({**SMALL, "grid": torch.ones(9), "grid.x": torch.ones(1)}, restorer)
    assert not misfit and len(misfit) == 0
    assert torch.equal(weights["head.conv.weight"], -SMALL["tail.weight"])
    assert torch.equal(weights["head.conv.bias"], torch.zeros(3))
    weights, misfit = match_weights({**SMALL, "tail.bias": torch.ones(3)}, restorer)
    assert not misfit and torch.equal(weights["head.conv.bias"], -torch.ones(3))


def test_two_keys_of_one_name_do_not_hide_each_other() -> None:
    """The second key that a rule gives a name already taken is unexpected."""
    _, misfit = match_weights({**SMALL, "old.weight": torch.zeros(3, 2, 3, 3)}, Restorer(Small(), Residual(2)))
    assert misfit.unexpected == ("old.weight",) and not misfit.missing


def test_published_weights_demand_the_published_head(tmp_path: Path) -> None:
    """Another head, or the same with another padding, would compute something else: the error says which to name."""
    file = saved(weights_of("nafnet_w8_e11_m1_d11"), tmp_path / "c.pth")
    for head in ({"name": "degradation"}, {"name": "rgb", "padding": "zeros"}, RESIDUAL):
        with pytest.raises(CheckpointError, match=r"write  head: \{name: residual, padding: zeros\}"):
            with_weights(file, NAFNET, head)


def test_a_backbone_without_published_weights_says_so(tmp_path: Path) -> None:
    """Foreign names for a backbone that has no reference implementation are refused."""
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from backbones import Backbone\n\nclass Mine(Backbone):\n    citation = origin = 'mine'\n\n"
        "    def __init__(self):\n        super().__init__()\n        self.out_channels = 3\n\n"
        "    def forward(self, image):\n        return image\n"
    )
    file = saved({"a": torch.zeros(1)}, tmp_path / "c.pth")
    model = {"backbone": {"name": "mine"}, "head": RESIDUAL, "weights": {"file": str(file), "sha256": digest_of(file)}}
    with pytest.raises(CheckpointError, match="backbone 'mine' does not say how weights under its authors' names"):
        build(model, 0, Registry((plugin,)))


def test_our_own_weights_are_taken_as_described(tmp_path: Path) -> None:
    """A file with our names fits the network it comes from, with any head, and no other one."""
    model = {"backbone": NAFNET, "head": {"name": "degradation"}}
    trained = build(model, seed=5)
    file = tmp_path / "weights.safetensors"
    write_weights(trained, file)
    state = with_weights(file, NAFNET, {"name": "degradation"}).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in trained.state_dict().items())
    with pytest.raises(CheckpointError, match=r"2 of another shape: head\.conv\.weight"):
        with_weights(file, NAFNET, RESIDUAL)
    save_file({key: value for key, value in trained.state_dict().items() if ".0.0.depthwise." not in key}, file)
    with pytest.raises(CheckpointError, match=r"2 missing: backbone\.stages\.0\.0\.depthwise\.weight, .*\.bias$"):
        with_weights(file, NAFNET, {"name": "degradation"})


def test_a_file_that_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    """Keys and records name the content; another content under the name is not trained from."""
    file = saved(weights_of("nafnet_w8_e11_m1_d11"), tmp_path / "c.pth")
    weights = {"file": str(file), "sha256": "0" * 64}
    with pytest.raises(CheckpointError, match="has changed since it was planned"):
        build({"backbone": NAFNET, "head": {**RESIDUAL, "padding": "zeros"}, "weights": weights})


@pytest.mark.parametrize(
    ("backbone", "network", "size"),
    [
        ("gunet", "gunet_t", "t"),
        ("gunet", "gunet_s", "s"),
        ("convir", "convir_s", "convir_s"),
        ("esc", "esc_x1", "esc"),
        ("plksr", "plksr_x1", "plksr"),
        ("plksr", "realplksr_x1", "realplksr"),
        ("safmn", "safmn_x1", "safmn"),
        ("span", "span_c48_x1", "c48"),
    ],
)
def test_the_size_is_that_of_the_shapes(backbone: str, network: str, size: str) -> None:
    """Published sizes of a backbone are told apart, gUNet-T and -S among them, and nothing else fits their weights."""
    found = find_config(Path("c.pth"), [WeightSet("", blank(network))], sizes_of(backbone), REGISTRY)
    assert (found.name, found.others) == (size, ())
    assert found.fit.weights.keys() == found.restorer.state_dict().keys()


def test_sizes_of_equal_shapes_are_all_named() -> None:
    """The first one that fits is taken; others are told, but not the same under another name."""
    models = sizes_of("gunet")
    other = {**models["t"], "backbone": {**models["t"]["backbone"], "padding": "zeros"}}
    found = find_config(
        Path("c.pth"),
        [WeightSet("", blank("gunet_t"))],
        {"first": models["t"], "b": models["b"], "alias": models["t"], "second": other},
        REGISTRY,
    )
    assert (found.name, found.others) == ("first", ("second",))


def test_the_nearest_size_is_named_where_none_fits() -> None:
    """The message has what was tried, what is nearest, and how the size can be described."""
    weights = blank("gunet_t")
    del weights["outconv.proj.0.bias"]
    with pytest.raises(CheckpointError) as caught:
        find_config(Path("c.pth"), [WeightSet("", weights)], sizes_of("gunet"), REGISTRY)
    message = "c.pth: fits none of t, s, b, d, small, retouch, tiny; nearest is t: 1 missing: head.conv.bias; "
    assert str(caught.value).startswith(message) and "--option width=16" in str(caught.value)


def test_options_that_suit_some_sizes_only_are_no_obstacle() -> None:
    """A size that cannot have them is passed over; if none can, the reason is told."""
    models = sizes_of("gunet")
    models["t"] = {**models["t"], "backbone": {**models["t"]["backbone"], "depths": (1, 1)}}
    assert find_config(Path("c.pth"), [WeightSet("", blank("gunet_s"))], models, REGISTRY).name == "s"
    with pytest.raises(ComponentError, match="depths is"):
        find_config(Path("c.pth"), [WeightSet("", blank("gunet_s"))], {"t": models["t"]}, REGISTRY)


def test_our_own_names_need_no_import() -> None:
    """Weights of a trained row are told to be usable as they are."""
    with pytest.raises(CheckpointError, match="has the names of this project already"):
        find_config(Path("c.pth"), [WeightSet("", {"backbone.a": torch.zeros(1)})], sizes_of("gunet"), REGISTRY)


@pytest.mark.parametrize("name", REGISTRY.names("backbone"))
def test_published_names_lie_in_the_network(name: str) -> None:
    """What a backbone says of published weights is about itself: the head can be made, the zeros are names of it."""
    published = REGISTRY.find("backbone", name).published
    if published is not None:
        network = build_on_meta({"backbone": {"name": name}, "head": published.head}, REGISTRY)
        assert set(published.zeros) <= network.state_dict().keys()
