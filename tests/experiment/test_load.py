"""An experiment file is checked as a whole, and its mistakes are told with line and suggestion."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.load import Experiment, load
from benchmark.registry import Registry

Edited = Callable[[str, str], Path]


def read(file: Path, *sets: str) -> Experiment:
    return load(file, Registry(), sets)


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_defaults_are_filled_in(experiment_file: Path) -> None:
    """The resolved row holds every option of every component, given or not."""
    base = read(experiment_file).rows[0]
    assert base.recipe.config["model"]["head"] == {
        "name": "degradation",
        "gain_channels": 3,
        "kernel_size": 3,
        "padding": "reflect",
        "gain_resolution": "full",
        "pool": 16,
    }
    assert base.recipe.config["protocol"]["coarse"]["optimizer"]["betas"] == [0.9, 0.999]
    assert base.recipe.config["protocol"]["coarse"]["loss"]["l1"]["weight"] == 1.0


def test_rows_are_the_base_with_overrides(experiment_file: Path) -> None:
    """A row differs from the base in what it overrides and in nothing else."""
    base, rgb, stage_1 = read(experiment_file).rows
    assert [row.name for row in (base, rgb, stage_1)] == ["base", "heads.direct_rgb", "stages.stage_1"]
    assert rgb.recipe.config["model"]["head"]["name"] == "rgb"
    assert rgb.recipe.config["protocol"] == base.recipe.config["protocol"]
    assert stage_1.recipe.config["protocol"] == {
        "order": ["coarse"],
        "coarse": base.recipe.config["protocol"]["coarse"],
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 4", "stpes: 4", "protocol.coarse.stpes: no such setting; did you mean 'steps'?"),
        ("steps: 4", "carry: last, steps: 4", "protocol.coarse.carry: no such setting; it is called 'output' now"),
        (
            "{protocol.order: [coarse]}",
            "{protocol.coarse.frozen_norm: 0.2}",
            "protocol.coarse.frozen_norm: no such setting 'frozen_norm'; it is called 'freeze_bn_fraction' now",
        ),
        ("steps: 4", "steps: -4", "protocol.coarse.steps: Input should be greater than 0 (got -4)"),
        (
            "steps: 4",
            "threads: 0, steps: 4",
            "protocol.coarse.threads: Input should be 'auto' (got 0); or Input should be greater than or equal to 1",
        ),
        ("lr: 1e-3", "lr: fast", "protocol.coarse.lr: Input should be a valid number"),
        ("name: nafnet", "name: nafnt", "no backbone 'nafnt'; did you mean 'nafnet'?"),
        ("width: 4", "widht: 4", "backbone 'nafnet' has no option 'widht'; did you mean 'width'?"),
        ("width: 4", "width: wide", "backbone 'nafnet', option 'width': Input should be a valid integer"),
        ("width: 4, ", "size: tini, ", "backbone 'nafnet' has no size 'tini'; did you mean 'tiny'?"),
        ("{l1: 1.0}", "{l2: 1.0}", "no loss 'l2'; did you mean 'l1'?"),
        ("{l1: 1.0}", "{l1:1.0}", "l1:1.0: a space is missing; write `l1: 1.0`"),
        ("{l1: 1.0}", "{region:1.0}", "write `mask_bce_dice: 1.0`, 'region' is called 'mask_bce_dice' now"),
        ("{l1: 1.0}", "{region: }", "loss.region: expected settings `key: value`, got None; it is called"),
        ("augment: {flip: {}}", "augment: {flop: {}}", "no augmentation 'flop'; did you mean 'flip'?"),
        ("augment: {flip: {}}", "augment: {flip: {p: 1}}", "augmentation 'flip' has no option 'p'"),
        ("order: [coarse, psnr]", "order: [coarse, pnsr]", "no stage 'pnsr' in protocol; did you mean 'psnr'?"),
        ("order: [coarse, psnr]", "order: [coarse, coarse]", "names a stage twice"),
        (
            "size: {limit_bytes: 10_000_000}",
            "size: {limit_byte: 1}",
            "gates.size.limit_byte: no such setting; did you mean",
        ),
        ("size: {limit_bytes: 10_000_000}", "weight: {limit_bytes: 1}", "gates.weight"),
        ("seeds: [0]", "seeds: [0, 0]", "a seed is given twice"),
        ("seeds: [0]", "seeds: [0]\nmetrics: [psnr_y, psnr_y]", "metrics: a metric is given twice"),
        ("seeds: [0]", "seeds: [0]\nbaselines: [bilateral, bilateral]", "baselines: a baseline is given twice"),
        ("seeds: [0]", "metrics: null", "metrics: expected a list such as [a, b] (got None)"),
        ("seeds: [0]", "metrics: [psnr@photographs]", "'psnr@photographs': give a metric without @"),
        ("seeds: [0]", "report: {primary: pnsr}", "report.primary"),
        (
            "stage_1: {protocol.order: [coarse]}",
            "stage_1: {protocol.odrer: [coarse]}",
            "protocol.odrer: expected settings `key: value`, got ['coarse']; did you mean 'order'?",
        ),
        (
            "{protocol.order: [coarse]}",
            "{protocol.cuarse.lr: 1e-4}",
            "no such setting 'cuarse'; did you mean 'coarse'?",
        ),
        ("{protocol.order: [coarse]}", "{protocol.coarse.lr.x: 1e-4}", "protocol.coarse.lr is a single value"),
        (
            "{protocol.order: [coarse]}",
            "{protocol.coarse.lr: 1e-3}",
            "its overrides change nothing against the base row",
        ),
        ("{protocol.order: [coarse]}", "{protocol.order: [coarse], seeds: [1]}", "seeds"),
        (
            "{protocol.order: [coarse]}",
            "{protocol.order: [coarse], protocol.coarse.lr: 1e-3}",
            "override 'protocol.coarse.lr' changes nothing",
        ),
        ("stage_1: {protocol.order: [coarse]}", "stage_1: {}", "overrides nothing"),
        ("stage_1: {protocol", "no/1: {protocol", "letters, digits"),
        ("name: small", "name: ../small", "name"),
    ],
)
def test_a_mistake_is_told_with_its_line(edited: Edited, old: str, new: str, message: str) -> None:
    """Each mistake gives one line: file, line number, what is wrong, what is allowed."""
    file = edited(old, new)
    with pytest.raises(ExperimentError) as error:
        read(file)
    told = str(error.value)
    assert message in told
    if "twice" not in message:
        assert told.startswith(f"{file}:{line_of(file, new)}: ") or f"\n{file}:{line_of(file, new)}: " in told


def test_a_second_spelling_of_a_row_is_refused(edited: Edited) -> None:
    """Two rows of one table that resolve to one recipe would be compared with themselves."""
    file = edited(
        "direct_rgb: {model.head: {name: rgb}}",
        "a: {model.head: {name: rgb}}\n    b: {model.head: {name: rgb, kernel_size: 3}}",
    )
    with pytest.raises(ExperimentError, match=r"heads.b is heads.a in another spelling"):
        read(file)


def test_set_changes_any_path(experiment_file: Path) -> None:
    """`--set` reaches any setting and stands in the resolved row."""
    base = read(experiment_file, "protocol.coarse.lr=1e-4", "model.backbone.width=6").rows[0]
    assert base.recipe.config["protocol"]["coarse"]["lr"] == 1e-4
    assert base.recipe.config["model"]["backbone"]["width"] == 6


def test_setting_the_present_value_is_a_notice(experiment_file: Path) -> None:
    """The experiment stays as it is; only the override that changes nothing is named."""
    experiment = read(experiment_file, "protocol.coarse.lr=1e-3", "model.backbone.width=6")
    assert experiment.notices == ("--set protocol.coarse.lr=1e-3: changes nothing; the experiment already says so",)
    assert experiment.rows[0].recipe.config == read(experiment_file, "model.backbone.width=6").rows[0].recipe.config


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("protocol.coarse.lr", "write PATH=VALUE"),
        ("protocol.coarse.rl=1e-4", "did you mean 'lr'"),
        ("protocol.coarse.lr=[", "--set protocol.coarse.lr=["),
        ("protocol.coarse.lr=.inf", "protocol.coarse.lr"),
        ("modle.head.name=rgb", "did you mean 'model'"),
        ("protocol.coarse={stpes: 1, rl: 1}", "did you mean 'steps'?; protocol.coarse.rl: no such setting"),
        ("model.backbone={name: nafnet, widt: 3, dept: 2}", "did you mean 'width'?; backbone 'nafnet' has no option"),
    ],
)
def test_a_bad_set_is_told(experiment_file: Path, item: str, message: str) -> None:
    """Mistakes of the command line are told as such, on one line, with the text that was typed."""
    with pytest.raises(ExperimentError) as error:
        read(experiment_file, item)
    assert message in str(error.value)
    assert f"--set {item}" in str(error.value) and "\n" not in str(error.value)


def test_rows_that_are_not_chosen_need_not_fit_a_set(experiment_file: Path) -> None:
    """The base row gets the head of direct_rgb, which then changes nothing: an error only if that row is chosen."""
    item = "model.head={name: rgb}"
    with pytest.raises(ExperimentError, match="change nothing against the base row"):
        read(experiment_file, item)
    with pytest.raises(ExperimentError, match="change nothing against the base row"):
        load(experiment_file, Registry(), [item], ["heads.*"])
    experiment = load(experiment_file, Registry(), [item], ["base", "stages.*"])
    assert experiment.rows[0].recipe.model.head.name == "rgb"


def test_rows_that_are_not_chosen_are_left_out_where_a_set_breaks_them(experiment_file: Path) -> None:
    """Here `stage_1` names a stage that the `--set` deletes; without `--set`, the file itself is wrong."""
    sets = ["protocol.coarse=null", "protocol.order=[psnr]"]
    with pytest.raises(ExperimentError, match="no stage 'coarse'"):
        read(experiment_file, *sets)
    experiment = load(experiment_file, Registry(), sets, ["base"])
    assert [row.name for row in experiment.rows] == ["base", "heads.direct_rgb"]


def test_a_file_extends_another(experiment_file: Path) -> None:
    """The extending file wins, key by key; what it does not name stays."""
    child = experiment_file.parent / "child.yaml"
    child.write_text("extends: small.yaml\nname: child\nprotocol: {coarse: {lr: 2e-3}}\n")
    base = read(child).rows[0]
    assert (base.recipe.config["protocol"]["coarse"]["lr"], base.recipe.config["protocol"]["coarse"]["steps"]) == (
        2e-3,
        4,
    )


def test_another_component_brings_its_own_options(experiment_file: Path) -> None:
    """A mapping whose name changes replaces the old one: options of one backbone mean nothing to another."""
    child = experiment_file.parent / "child.yaml"
    child.write_text("extends: small.yaml\nname: child\nmodel: {backbone: {name: gunet, size: tiny}}\n")
    assert read(child).rows[0].recipe.config["model"]["backbone"]["name"] == "gunet"


def test_null_deletes(experiment_file: Path) -> None:
    """Null takes a loss out of a stage."""
    experiment = read(experiment_file, "protocol.coarse.loss.color=1.0", "protocol.coarse.loss.l1=null")
    assert list(experiment.rows[0].recipe.config["protocol"]["coarse"]["loss"]) == ["color"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: ring.yaml\nname: ring\n", "in a ring"),
        ("extends: lost.yaml\nname: x\n", "ring.yaml:1: extends 'lost.yaml': no such file"),
        ("extends: 3\nname: x\n", "expected a file name"),
    ],
)
def test_a_bad_parent_is_told(experiment_file: Path, text: str, message: str) -> None:
    """Files that extend each other, or nothing that exists, are errors."""
    file = experiment_file.parent / "ring.yaml"
    file.write_text(text)
    with pytest.raises(ExperimentError) as error:
        read(file)
    assert message in str(error.value)


def test_folders_are_relative_to_the_file(experiment_file: Path, pairs: Path, tmp_path: Path) -> None:
    """A relative folder of an experiment file is meant from that file, also through `extends` from elsewhere."""
    (tmp_path / "near").symlink_to(pairs)
    text = experiment_file.read_text().replace(f"{pairs}/test", "near/test")
    experiment_file.write_text(text)
    child = tmp_path / "deep" / "child.yaml"
    child.parent.mkdir()
    child.write_text("extends: ../small.yaml\nname: child\n")
    folder = Path(read(child).rows[0].recipe.sources["test"]["degraded"])
    assert folder.is_absolute()
    assert folder.resolve() == (pairs / "test/degraded").resolve()


def test_a_setting_of_another_gate_is_not_suggested_to_itself(experiment_file: Path) -> None:
    """`limit` belongs to other gates; the message names what this one has."""
    text = experiment_file.read_text().replace("size: {limit_bytes: 10_000_000}", "size: {limit: 10_000_000}")
    experiment_file.write_text(text)
    with pytest.raises(ExperimentError, match=r"gates.size.limit: no such setting; did you mean 'limit_\w+'\?"):
        read(experiment_file)


SMALL_FACES = "={source: synthetic_faces, size: 128, count: 2, seed: 7}"


@pytest.mark.parametrize(
    ("sets", "place"),
    [
        ([f"data.test{SMALL_FACES}", "report.primary=ms_ssim"], "report.primary: ms_ssim"),
        (
            [
                f"data.test{SMALL_FACES}",
                "claims=[{id: a, text: b, better: base, worse: heads.direct_rgb, metric: score}]",
            ],
            "claims.0.metric: score",
        ),
        (
            [
                f"data.val{SMALL_FACES}",
                "search={metric: score, parameters: {protocol.psnr.lr: {low: 1e-5, high: 1e-3}}}",
            ],
            "search.metric: score",
        ),
    ],
)
def test_a_metric_that_needs_larger_images_is_an_error(experiment_file: Path, sets: list[str], place: str) -> None:
    """Where the file says how large the images are; at 161 pixels the metric can be computed."""
    with pytest.raises(ExperimentError, match=rf"{place} needs images of at least 161 pixels.* have 128 in row base"):
        read(experiment_file, *sets)
    read(experiment_file, *(item.replace("size: 128", "size: 161") for item in sets))
