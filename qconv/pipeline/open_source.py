"""From the `--data` argument to a source of samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx_ir as ir

from qconv.data.array_folder import ARRAY_SUFFIXES, ArrayFolder
from qconv.data.arrays import ArrayFile
from qconv.data.function import FunctionSource
from qconv.data.image_options import ImageOptions
from qconv.data.labels import Labels
from qconv.data.source import InputInfo, SampleSource
from qconv.data_free.synthetic import synthetic_source
from qconv.errors import DataError, ModelError
from qconv.model.near_paths import path_hint

LABELS_FILE = "labels.csv"
BY_FOLDER = Path("folders")  # in place of a file of labels
SYNTHETIC_COUNT = 64


def open_source(
    spec: str | None,
    inputs: Sequence[InputInfo],
    options: ImageOptions = ImageOptions(),
    *,
    labels: Path | None = None,
    original: ir.Model | None = None,
    count: int = SYNTHETIC_COUNT,
    seed: int = 0,
) -> SampleSource:
    """The source that `spec` names: a file .npz or .npy, a folder of those or of images, or module:function.

    `labels` defaults to labels.csv in the folder; `folders` in its place makes each folder within a class. Without `spec`,
    `count` synthetic samples are drawn for `original`, the model before preparation. Raises DataError when there is nothing to
    read, and UsageError where options do not fit.
    """
    if not inputs:
        raise ModelError("the model has no inputs, so there is nothing to feed; give a model with an input")
    if spec is None:
        if original is None:
            raise ValueError("synthetic samples need the original model")
        return synthetic_source(original, inputs, count, seed)
    path = Path(spec)
    if path.is_dir():
        return _open_folder(path, inputs, options, labels)
    if path.suffix.lower() in ARRAY_SUFFIXES or path.is_file():
        return _open_file(path, inputs, labels)
    if FunctionSource.understands(spec):
        return FunctionSource(spec, inputs)
    hint = path_hint(path, "give an .npz, a folder of arrays or images, or module:function")
    raise DataError(f"there are no samples at {spec}; {hint}")


def _open_file(path: Path, inputs: Sequence[InputInfo], labels: Path | None) -> SampleSource:
    if not path.exists():
        raise DataError(f"there is no file {path}; {path_hint(path)}")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device; give a regular file")
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise DataError(f"{path} is not an .npz or .npy file; {_remedy(path, inputs)}")
    return ArrayFile(path, inputs, Labels.read(labels) if labels else None)


def _remedy(path: Path, inputs: Sequence[InputInfo]) -> str:
    """How a file of another kind can be read: numbers in text become an array in one line."""
    if path.suffix.lower() != ".csv" or len(inputs) != 1 or None in inputs[0].shape[1:]:
        return "give one of those, a folder, or file.py:function, which may read anything"
    shape = ", ".join(map(str, (-1, *(size for size in inputs[0].shape[1:]))))
    read = f"np.loadtxt('{path}', np.{inputs[0].dtype}, delimiter=',').reshape({shape})"
    return f"make one of it with np.save('{path.with_suffix('.npy')}', {read})"


def _open_folder(folder: Path, inputs: Sequence[InputInfo], options: ImageOptions, labels: Path | None) -> SampleSource:
    from qconv.data.images import IMAGE_SUFFIXES, ImageFolder  # Pillow is loaded only where there are images

    found = sorted(path for path in _within(folder) if not path.name.startswith(".") and _is_file(path))
    arrays = [path for path in found if path.suffix.lower() in ARRAY_SUFFIXES]
    images = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    if arrays and images:
        raise DataError(f"{folder} holds both arrays and images; keep them in separate folders")
    own = folder / LABELS_FILE
    if labels == BY_FOLDER and not labels.exists():
        classes: Labels | None = Labels.of_folders(arrays or images, folder)
    else:
        classes = Labels.read(labels or own) if labels or own.is_file() else None
    if arrays:
        return ArrayFolder(folder, arrays, inputs, classes)
    if images:
        return ImageFolder(folder, images, inputs, options, classes)
    raise DataError(
        f"{folder} holds no .npz, .npy or image file; give a folder of samples, or file.py:function, which may read anything"
    )


def _within(folder: Path) -> Iterator[Path]:
    """All paths in a folder. Raises DataError for a folder that cannot be read, which must not be left out in silence."""

    def refuse(error: OSError) -> None:
        raise DataError(f"the folder {error.filename} cannot be read ({error.strerror}); allow it or take it away") from None

    for place, _, files in os.walk(folder, onerror=refuse):
        yield from (Path(place) / name for name in files)


def _is_file(path: Path) -> bool:
    """Also a link to nowhere, which must not be left out in silence."""
    return path.is_file() or (path.is_symlink() and not path.exists())
