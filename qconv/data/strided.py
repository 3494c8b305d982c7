"""Some samples of a source, without reading the others where the source can skip them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

from qconv.data.source import Sample, known_length
from qconv.data.wrapper import Wrapper


@runtime_checkable
class Skipping(Protocol):
    """A source that does not read what it skips."""

    def every(self, first: int, step: int) -> Iterator[Sample]:
        """The samples number first, first + step, first + 2 step, ..."""
        ...


@dataclass(frozen=True)
class Strided(Wrapper):
    """The samples number first, first + step, first + 2 step, ... of a source."""

    first: int
    step: int

    def __len__(self) -> int:
        """TypeError where it is not known, as `operator.length_hint` understands."""
        total = known_length(self.source)
        if total is None:
            raise TypeError("the number of samples is not known")
        return len(range(self.first, total, self.step))

    def __iter__(self) -> Iterator[Sample]:
        """The chosen samples, in order."""
        if isinstance(self.source, Skipping):
            return self.source.every(self.first, self.step)
        return islice(iter(self.source), self.first, None, self.step)
