"""Samples from one .npz or .npy file, streamed.

An .npz holds an array per input, samples on axis 0, and may hold `labels`: an integer per sample.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.data.fit import Cut, check_dtype, cut, match_names, to_feed
from qconv.data.labels import Labels
from qconv.data.npy import READ_ERRORS, NpyRows
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError
from qconv.model.session import reason
from qconv.sentences import counted

LABELS = "labels"
_DEFLATE_LIMIT = 1032  # zlib never expands a byte to more than this many


class ArrayFile:
    """A file of arrays as a source. Names, types, shapes and sizes are checked at once; DataError when they do not fit."""

    warning: str | None = None

    def __init__(self, path: Path, inputs: Sequence[InputInfo], labels: Labels | None = None, name: str | None = None) -> None:
        self._path, self._inputs, self._labels = path, tuple(inputs), labels or Labels({})
        self._name = name or path.name  # within a folder: the path from there
        with ExitStack() as stack:
            readers = self._open(stack)
            names = match_names([name for name in readers if not self._is_label(name)], inputs, str(path))
            self._cuts = {info.name: self._cut(info, readers[names[info.name]], names[info.name]) for info in inputs}
            counts = {names[name]: made.count for name, made in self._cuts.items()}
            if len(set(counts.values())) > 1:
                each = ", ".join(f"{name} has {count}" for name, count in counts.items())
                raise DataError(f"the arrays of {path} disagree on the number of samples: {each}; make them equal")
            self._names, self._count = names, next(iter(counts.values()))
            self.warning = self._remainder({info.name: readers[names[info.name]].shape for info in inputs})
            self._has_labels = LABELS in readers and self._is_label(LABELS) and self._fits_labels(readers[LABELS])

    def _remainder(self, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """A sentence on rows that do not fill a batch; None where there are none."""
        for name, made in self._cuts.items():
            left = shapes[name][0] % made.rows if made.rows and shapes[name] else 0
            if left and made.rows:
                rows = f"{left} of the {shapes[name][0]} rows for input {name}"
                return f"{rows} fill no batch of {made.rows} and are left out; give a multiple of that"
        return None

    @property
    def description(self) -> str:
        """The file and its number of samples."""
        return f"{self._name} ({counted(self._count, 'sample')})"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        with ExitStack() as stack:
            readers = self._open(stack)
            for index in range(self._count):
                name = self._name if self._count == 1 else f"{self._name}[{index}]"
                feeds = {info.name: self._feed(info, readers, name) for info in self._inputs}
                yield Sample(feeds, self._label(readers, index), name)

    def _open(self, stack: ExitStack) -> dict[str, NpyRows]:
        path = self._path
        try:
            if path.suffix.lower() == ".npy":
                stream = stack.enter_context(path.open("rb"))
                return {path.stem: NpyRows(stream, path.stat().st_size, str(path))}
            archive = stack.enter_context(zipfile.ZipFile(path))
            return {_key(member): _member(archive, member, stack, path) for member in archive.infolist()}
        except READ_ERRORS as error:
            raise DataError(f"{path} cannot be read ({reason(error)}); write it with numpy.savez") from None

    def _is_label(self, name: str) -> bool:
        return name == LABELS and all(info.name != LABELS for info in self._inputs)

    def _fits_labels(self, rows: NpyRows) -> bool:
        if any(made.rows != 1 and self._count > 1 for made in self._cuts.values()):
            return False  # a feed is a batch of several classes
        if rows.dtype.kind not in "iu" or rows.shape != (self._count,):
            raise DataError(f"{LABELS} in {self._path} is {rows.dtype} of shape {rows.shape}; give {self._count} integers")
        return True

    def _cut(self, info: InputInfo, rows: NpyRows, name: str) -> Cut:
        where = f"array {name} of {self._path}"
        check_dtype(info, rows.dtype, where)
        return cut(info, rows.shape, where)

    def _feed(self, info: InputInfo, readers: dict[str, NpyRows], name: str) -> NDArray[Any]:
        made = self._cuts[info.name]
        return to_feed(info, readers[self._names[info.name]].read(made.rows), made.shape, name)

    def _label(self, readers: dict[str, NpyRows], index: int) -> int | None:
        own = int(np.asarray(readers[LABELS].read(1))[0]) if self._has_labels else None
        return self._labels.get(self._name if self._count == 1 else str(index), own)


def _key(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, stack: ExitStack, path: Path) -> NpyRows:
    where = f"array {_key(member)} of {path}"
    if member.file_size > _DEFLATE_LIMIT * max(member.compress_size, 1):
        raise DataError(f"{where} claims to unpack to {member.file_size} bytes, which its data cannot; write the file anew")
    return NpyRows(stack.enter_context(archive.open(member)), member.file_size, where)
