"""Maps as pictures, beside the restored images.

Only of the test images that the report shows, and of one seed a row: maps of all would take more room than the images.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair
from benchmark.evaluation.evaluate import pairs
from benchmark.experiment.plan import Plan, Run
from benchmark.model import load, restore_with_maps
from benchmark.runner.context import Context
from benchmark.runner.map_supervision import predicted_maps
from benchmark.runner.record_writer import is_finished, write_images

_FROM_0_TO_1: Final = ("mask", "proposal", "blend")
"""Maps that are shown as they are; the others have a sign."""


def write_map_pictures(plan: Plan, images: Sequence[str], context: Context) -> None:
    """Write `maps/<image>.<map>.png` into the folder of the first finished seed of each row whose head predicts maps.

    And `pairs/maps/<image>.<map>.png` with the true maps, where they are known. Pictures that are there stay.
    """
    for run in _first_seeds(plan, context):
        names = [name for name in predicted_maps(run.config["model"]["head"], context.registry) if _is_shown(name)]
        files = (context.output / run.folder / "maps" / f"{image}.{name}.png" for image in images for name in names)
        if not all(file.is_file() for file in files):
            _write(run, images, context)


def _first_seeds(plan: Plan, context: Context) -> Iterator[Run]:
    """Of each row the first run that was trained."""
    rows: set[str] = set()
    for run in plan.runs:
        folder = context.output / run.folder
        is_trained = is_finished(folder, run, replace=True) and (folder / "weights.safetensors").is_file()
        if run.row not in rows and is_trained:
            rows.add(run.row)
            yield run


def _write(run: Run, images: Sequence[str], context: Context) -> None:
    folder, device = context.output / run.folder, context.machine.device
    restorer = load(folder, context.registry).to(device)
    for pair in pairs(context.source(run.config, "test")):
        if pair.name in images:
            maps = restore_with_maps(restorer, np.array(pair.degraded), device)[1]
            write_images(folder / "maps", _pictures(pair.name, maps))
            write_images(context.output / "pairs" / "maps", _pictures(pair.name, _true_maps(pair)))


def _true_maps(pair: Pair) -> dict[str, NDArray[Any]]:
    return {name: values for name, values in (("gain", pair.gain), ("spots", pair.spots)) if values is not None}


def _pictures(image: str, maps: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.uint8]]:
    """Pictures of maps `H W C` by name; those of neither one nor three channels have none."""
    return {
        f"{image}.{name}": picture(name, values)
        for name, values in maps.items()
        if _is_shown(name) and values.shape[-1] in (1, 3)
    }


def _is_shown(name: str) -> bool:
    return not name.endswith("_logits")  # what a mask is made of


def picture(name: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """A map `H W C` as 8-bit levels, `H W` if C is 1: level 255 is 1.0.

    Level 0 is 0.0 in the maps that lie between 0 and 1 (mask, proposal, blend); in all others level 128 is 0.0. Beyond
    black and white it is cut.
    """
    zero = 0 if name in _FROM_0_TO_1 else 128
    levels = np.rint(np.clip(zero + 255 * values.astype(np.float32), 0, 255)).astype(np.uint8)
    return levels[..., 0] if levels.shape[-1] == 1 else levels
