"""Files appear whole or not at all: written in a folder beside their place, checked there, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import onnx
import onnx_ir as ir

from qconv.errors import ModelError, OutputError
from qconv.model.scratch import scratch_folder
from qconv.model.session import check_file

PRODUCER = "qconv"  # of models without qconv's metadata, that its files may be told from others
LARGEST_SINGLE_FILE = 1_900_000_000  # bytes; a protobuf message ends at 2 GB


def save(model: ir.Model, path: Path, *, largest_single_file: int = LARGEST_SINGLE_FILE) -> tuple[Path, ...]:
    """Write a model that onnx's checker accepts and onnxruntime loads, and return its files; the model is unchanged.

    A model of more than `largest_single_file` bytes keeps its weights in `<path>.data` beside it.
    Raises OutputError where the files cannot be written, ModelError where the model is refused.
    """
    place = path.resolve()
    with _staging(place) as folder:
        draft = folder / place.name
        data = f"{place.name}.data" if _nbytes(model) > largest_single_file else None
        if data is not None:
            _refuse_own_source(model, place.with_name(data))
        _write(model, draft, data)
        _check(draft, shapeless=any(output.shape is None for output in model.graph.outputs))
        _put_in_place(folder, place, data)
    return (path,) if data is None else (path, place.with_name(data))


def files_of(path: Path, model: ir.Model) -> tuple[Path, ...]:
    """The file of a model that was read from it, and those that hold its external weights, each once."""
    values = (value for graph in model.graphs() for value in graph.initializers.values())
    held = (value.const_value.path for value in values if isinstance(value.const_value, ir.ExternalTensor))
    return tuple(dict.fromkeys((path, *map(Path, held))))


def file_bytes(files: Iterable[Path]) -> int:
    """The size of those of the files that are there."""
    return sum(file.stat().st_size for file in files if file.exists())


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all, its lines as they are. Raises OutputError."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises OutputError."""
    path = path.resolve()
    with _staging(path) as folder:
        (folder / path.name).write_bytes(data)
        _put_in_place(folder, path)


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file that is written again and again; after a crash it is the one before or the new one, whole.

    The draft beside it, with the ending .new, may stay behind then; the next call takes it over. Raises OutputError.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Raises OutputError where a file could not be written; it makes and removes an empty one beside its place."""
    place = path.resolve()
    with _staging(place) as folder:
        (folder / place.name).touch()


def check_folder_writable(path: Path) -> None:
    """Raises OutputError where a folder is a file, or could not be made or written into."""
    place = next(parent for parent in (path.resolve(), *path.resolve().parents) if parent.exists())
    if not place.is_dir():
        raise OutputError(f"{path} cannot be a folder, because {place} is a file: give another name")
    try:
        with scratch_folder(place):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def write_stream(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file whole or not at all, a part at a time. Raises OutputError."""
    path = path.resolve()
    with _staging(path) as folder:
        with (folder / path.name).open("wb") as stream:
            write(stream)
        _put_in_place(folder, path)


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """A temporary folder on the file system of `path`, gone afterwards; errors of the system become OutputError."""
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is a folder or a device: give the name of a file")
        with scratch_folder(path.parent) as folder:
            yield folder
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _nbytes(model: ir.Model) -> int:
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _refuse_own_source(model: ir.Model, target: Path) -> None:
    """The weights that a model still reads from a file cannot be written over it."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor) and Path(value.const_value.path).resolve() == target.resolve():
                raise OutputError(f"{target} holds the weights of the model that is being read: choose another name")


def _write(model: ir.Model, draft: Path, data: str | None) -> None:
    if data is not None:
        ir.save(model, draft, external_data=data)
        return
    kept = {value: value.const_value for graph in model.graphs() for value in graph.initializers.values()}
    try:
        ir.external_data.load_to_model(model)
        ir.save(model, draft)
    finally:
        for value, tensor in kept.items():
            value.const_value = tensor


def _check(draft: Path, *, shapeless: bool) -> None:
    """Raises ModelError. The checker wants a shape for every output, which a `shapeless` one of unknown rank cannot have."""
    try:
        onnx.checker.check_model(draft)
    except (onnx.checker.ValidationError, ValueError) as error:
        if not shapeless or "Field 'shape' of 'type' is required" not in str(error):
            raise ModelError(f"the model to be written is not valid ONNX: {str(error).splitlines()[0]}") from error
    check_file(draft, optimize=True)


def _put_in_place(folder: Path, path: Path, data: str | None = None) -> None:
    """Rename the file, and the weights beside it, or neither: older weights are set aside until both are in place."""
    if data is None:
        (folder / path.name).replace(path)
        return
    target, before = path.with_name(data), folder / "before"
    if target.exists():
        target.replace(before)
    try:
        (folder / data).replace(target)
        (folder / path.name).replace(path)
    except BaseException:
        target.unlink(missing_ok=True)
        if before.exists():
            before.replace(target)
        raise
