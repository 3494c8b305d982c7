"""Tensors of many samples between two stages of a network: in memory up to a number of bytes, and in files beyond that."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.model.memory import copied
from qconv.model.scratch import no_room, scratch_folder

Array = NDArray[Any]


class Carried:
    """What a network has made of each sample so far, and its inputs. Files go when this goes."""

    def __init__(self, samples: Sequence[Mapping[str, Array]], room: int) -> None:
        """`room` is for what is made, in bytes; the samples are held by the caller."""
        self._samples: list[dict[str, _Tensor]] = [{name: _Tensor(array) for name, array in s.items()} for s in samples]
        self._room = room
        self._folder: Path | None = None
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Mapping[str, Array]:
        """The tensors of one sample; each is read when it is asked for."""
        return _Read(self._samples[index])

    def nbytes(self, index: int) -> int:
        """What the tensors of one sample take, in memory or not."""
        return sum(tensor.nbytes for tensor in self._samples[index].values())

    def replace(self, index: int, live: Sequence[str], made: Mapping[str, Array]) -> None:
        """Keeps of one sample what `live` names, of what is there or has been `made`."""
        old = self._samples[index]
        for name in old.keys() - set(live):
            self._drop(old[name])
        self._samples[index] = {name: old[name] if name in old else self._kept(made[name]) for name in live}

    def keep(self, count: int) -> None:
        """Keeps the first `count` samples and gives up the others."""
        for sample in self._samples[count:]:
            for tensor in sample.values():
                self._drop(tensor)
        del self._samples[count:]

    def _kept(self, array: Array) -> _Tensor:
        if array.nbytes <= self._room:
            self._room -= array.nbytes
            return _Tensor(copied(array), held=True)
        path = self._home() / f"{next(self._numbers)}.npy"
        try:
            np.save(path, array)
        except OSError as error:
            raise no_room(path.parent, error) from error
        return _Tensor(path, nbytes=array.nbytes)

    def _drop(self, tensor: _Tensor) -> None:
        if tensor.held:
            self._room += tensor.nbytes
        if isinstance(tensor.source, Path):
            tensor.source.unlink(missing_ok=True)

    def _home(self) -> Path:
        if self._folder is None:
            stack = ExitStack()
            self._folder = stack.enter_context(scratch_folder())
            weakref.finalize(self, stack.close)
        return self._folder


class _Tensor:
    """A tensor, or the file that it is in; `held` tensors take room."""

    def __init__(self, source: Array | Path, *, held: bool = False, nbytes: int | None = None) -> None:
        self.source, self.held = source, held
        self.nbytes = source.nbytes if nbytes is None and not isinstance(source, Path) else nbytes or 0

    def read(self) -> Array:
        """The tensor."""
        return np.load(self.source) if isinstance(self.source, Path) else self.source


class _Read(Mapping[str, Array]):
    def __init__(self, tensors: Mapping[str, _Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name].read()

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
