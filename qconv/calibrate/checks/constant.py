"""Samples without content: every element of an input has one value, in one sample or in all."""

from __future__ import annotations

import numpy as np

from qconv.calibrate.data.source import Sample


class Constant:
    """Running extremes per input, and how many samples are blank. An input of one element may well be constant, as a rate."""

    def __init__(self) -> None:
        self._extremes: dict[str, tuple[float, float]] = {}
        self._blank: dict[str, int] = {}
        self._seen = 0

    def see(self, sample: Sample) -> None:
        """Takes the extremes of each input."""
        self._seen += 1
        for name, array in sample.feeds.items():
            if array.size < 2:
                continue
            lo, hi = float(np.min(array)), float(np.max(array))
            before = self._extremes.get(name, (lo, hi))
            self._extremes[name] = (min(lo, before[0]), max(hi, before[1]))
            self._blank[name] = self._blank.get(name, 0) + (lo == hi)

    def findings(self) -> list[str]:
        """An input that never changes, or else one that is blank in some samples."""
        found = []
        for name, (lo, hi) in self._extremes.items():
            if lo == hi:
                found.append(f"input {name} is {lo:g} in every element of all {self._seen} samples; check how they were written")
            elif self._blank[name]:
                found.append(f"input {name} is blank (all elements equal) in {self._blank[name]} of {self._seen} samples")
        return found
