"""What is to be restored, and where it goes: files, folders, patterns or standard input become a list of tasks."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.data.image_folders import files_below
from benchmark.data.image_io import ALLOWED, FORMATS, SUFFIXES
from benchmark.data.photo_writer import OUTPUT_FORMATS
from benchmark.errors import DataError

STREAM = "-"
"""Stands for standard input and output."""
_SUFFIX_OF = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif"}
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class RestoreTask:
    """One image.

    Attributes:
        source: Its file; None: standard input.
        output: The file to write; None: standard output.
        file_format: The format to write; None: that of the source.
        name: Path of further pictures of it (maps, comparisons), relative to their folders, with the suffix `.png`.
        keeps_output: The file of the result is there and stays; only further pictures are written.
    """

    source: Path | None
    output: Path | None
    file_format: str | None
    name: Path
    keeps_output: bool = False


@dataclass(frozen=True)
class TaskList:
    """The images to restore in the order of their paths, and the files beside them that are no images."""

    tasks: tuple[RestoreTask, ...]
    others: tuple[Path, ...] = ()


def tasks_of(images: Sequence[str], out: str, file_format: str | None, folders: Sequence[Path] = ()) -> TaskList:
    """Return what is to be restored.

    Args:
        images: Files, folders (with their sub-folders), patterns such as `photos/*.jpg`, or `-` alone.
        out: A folder; for a single file also a file; `-` for standard output.
        file_format: One of `OUTPUT_FORMATS`; None: that of each image.
        folders: Where further pictures go.

    Raises:
        DataError: There is no such image, two results would have one name, or a result would be restored next time or
            take the place of an image.
    """
    single = len(images) == 1 and not Path(images[0]).is_dir() and not _is_pattern(images[0])
    if STREAM in images or out == STREAM:
        if not single:
            raise DataError(f"{STREAM} stands for one image: give one file or {STREAM}, and a file or {STREAM} for it")
        return TaskList((_single_task(images[0], out, file_format),))
    if single and Path(out).suffix.lower() in SUFFIXES and not Path(out).is_dir():
        task = _single_task(images[0], out, file_format)
        if task.output and task.source and task.output.resolve() == task.source.resolve():
            raise DataError(f"{out}: is the image itself; choose another name")
        _check_folders(folders, images)
        _check_pictures([task], folders)
        return TaskList((task,))
    if Path(out).suffix.lower() in SUFFIXES and not Path(out).is_dir():
        raise DataError(f"{out}: is the name of one image, and there may be several; name a folder for them")
    tasks: list[RestoreTask] = []
    others: list[Path] = []
    for item in images:
        for root, file in _files_of(item):
            if file.suffix.lower() in SUFFIXES and _is_file_or_dead_link(file):
                relative = file.relative_to(root)
                written = relative.with_suffix(_SUFFIX_OF[file_format]) if file_format else relative
                tasks.append(RestoreTask(file, Path(out) / written, file_format, relative.with_suffix(".png")))
            else:
                others.append(file)
    if not tasks:
        raise DataError(f"{' '.join(images)}: no images; expected {ALLOWED}")
    _check_folders([Path(out), *folders], images)
    _check_pictures(tasks, folders)
    _check_outputs(tasks, has_pictures=bool(folders))
    return TaskList(tuple(tasks), tuple(others))


def waiting_tasks(tasks: Sequence[RestoreTask], folders: Sequence[Path]) -> list[RestoreTask]:
    """Return the tasks that are not finished; of some the result is there, but a picture that is asked for is not.

    Args:
        tasks: All images.
        folders: Each is to have a further picture of every image: that of `--compare`, and one for each map.
    """
    waiting: list[RestoreTask] = []
    for task in tasks:
        has_pictures = all((folder / task.name).is_file() for folder in folders)
        if not (has_result(task) and has_pictures):
            waiting.append(replace(task, keeps_output=has_result(task)))
    return waiting


def has_result(task: RestoreTask) -> bool:
    """Return whether the file of the result is there."""
    return task.output is not None and task.output.is_file()


def _is_pattern(item: str) -> bool:
    return bool(_MAGIC & set(item)) and not os.path.lexists(item)


def _single_task(image: str, out: str, file_format: str | None) -> RestoreTask:
    source = None if image == STREAM else Path(image)
    if source and not source.is_file():
        raise DataError(f"{source}: no such image; expected a file, a folder, a pattern or {STREAM}")
    output = None if out == STREAM else Path(out)
    if output and output.is_dir():
        if source is None:
            raise DataError(f"{out}: is a folder; give a file for the image of standard input")
        output /= source.name
    if output and file_format is None:
        file_format = _format_by_suffix(output, source)
    return RestoreTask(source, output, file_format, Path(source.name if source else "stdin").with_suffix(".png"))


def _format_by_suffix(output: Path, source: Path | None) -> str | None:
    """Return the format that the suffix of an output asks for; None where it is that of the source."""
    by_suffix = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}
    name = by_suffix.get(output.suffix.lower())
    if source and name == by_suffix.get(source.suffix.lower()):
        return None
    if name not in OUTPUT_FORMATS:
        allowed = ", ".join(sorted(_SUFFIX_OF.values()))
        raise DataError(f"{output}: cannot be written in this format; use one of {allowed}, or the suffix of the image")
    return name


def _files_of(item: str) -> Iterator[tuple[Path, Path]]:
    """Yield the files of a folder, a pattern or a file, each with the folder that its path in OUT is relative to."""
    path = Path(item)
    if path.is_dir():
        yield from ((path, file) for file in files_below(path))
    elif _is_pattern(item):
        root = Path(*_leading(path.parts))
        matches = sorted(root.glob(str(path.relative_to(root))))
        if not matches:
            raise DataError(f"{item}: matches no file")
        for match in matches:
            if _is_file_or_dead_link(match):
                yield root, match
    elif path.is_file():
        yield path.parent, path
    else:
        raise DataError(f"{item}: no such file or folder; expected images ({ALLOWED})")


def _is_file_or_dead_link(path: Path) -> bool:
    """Return whether a path is to be read: a dead link becomes an image that failed, a pipe is left out."""
    return path.is_file() or not path.exists()


def _leading(parts: Sequence[str]) -> Iterator[str]:
    """Yield the parts of a pattern before the first with a wildcard."""
    for part in parts[:-1]:
        if _MAGIC & set(part):
            return
        yield part


def _check_folders(folders: Sequence[Path], images: Sequence[str]) -> None:
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder}: is a file; name a folder for the results")
        for item in images:
            if Path(item).is_dir() and folder.resolve().is_relative_to(Path(item).resolve()):
                raise DataError(
                    f"{folder}: is inside the folder of images, and would be restored next time; choose another"
                )


def _check_pictures(tasks: Sequence[RestoreTask], folders: Sequence[Path]) -> None:
    results = {task.output.resolve() for task in tasks if task.output}
    for picture in (folder / task.name for task in tasks for folder in folders):
        if picture.resolve() in results:
            raise DataError(f"{picture}: would be a result and a picture; choose another folder for the pictures")


def _check_outputs(tasks: Sequence[RestoreTask], *, has_pictures: bool) -> None:
    sources: dict[Path, list[RestoreTask]] = defaultdict(list)
    for task in tasks:
        sources[task.output or Path()].append(task)
        if has_pictures:
            sources[Path("pictures", task.name)].append(replace(task, output=task.name))
        if task.source and task.output and task.output.resolve() == task.source.resolve():
            raise DataError(f"{task.output}: is the image itself; choose another folder")
    for same in sources.values():
        if len(same) > 1:
            is_picture = same[0].output == same[0].name
            become = "have the picture of --maps or --compare named" if is_picture else "become"
            raise DataError(
                f"{same[0].source} and {same[1].source} would both {become} {same[0].output}; keep one of them, or "
                "restore them into folders of their own"
            )
