"""The beginning of a source."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from qconv.data.source import Sample, known_length
from qconv.data.strided import Strided
from qconv.data.wrapper import Wrapper
from qconv.errors import UsageError


@dataclass(frozen=True)
class Limited(Wrapper):
    """The first `count` samples of a source. Raises UsageError for none."""

    count: int

    def __post_init__(self) -> None:
        if not 0 < self.count <= sys.maxsize:
            raise UsageError(f"samples is {self.count}; give how many of them to take, 1 or more")

    def __len__(self) -> int:
        """How many samples there are at most; fewer where the source ends before."""
        total = known_length(self.source)
        return self.count if total is None else min(self.count, total)

    def __iter__(self) -> Iterator[Sample]:
        """The first samples."""
        return islice(iter(self.source), self.count)

    def every(self, first: int, step: int) -> Iterator[Sample]:
        """The samples number first, first + step, ... of the first ones."""
        return islice(iter(Strided(self.source, first, step)), len(range(first, self.count, step)))
