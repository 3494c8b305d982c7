"""Samples from a folder of .npz and .npy files, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qconv.data.arrays import ArrayFile
from qconv.data.labels import Labels
from qconv.data.source import InputInfo, Sample
from qconv.sentences import counted

ARRAY_SUFFIXES = frozenset({".npz", ".npy"})


class ArrayFolder:
    """A folder of array files as a source; each file is checked at once and holds one sample or more."""

    warning: str | None = None

    def __init__(self, folder: Path, files: Sequence[Path], inputs: Sequence[InputInfo], labels: Labels | None = None) -> None:
        self._folder, self._files, self._inputs, self._labels = folder, tuple(files), tuple(inputs), labels
        self._count = sum(len(self._file(path)) for path in self._files)

    @property
    def description(self) -> str:
        """The folder and its number of samples."""
        return f"{self._folder.name} ({counted(self._count, 'sample')} in {counted(len(self._files), 'file')})"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        for path in self._files:
            yield from self._file(path)

    def _file(self, path: Path) -> ArrayFile:
        return ArrayFile(path, self._inputs, self._labels, path.relative_to(self._folder).as_posix())
