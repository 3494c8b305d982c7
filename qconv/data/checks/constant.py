"""Samples without content: every element of an input has one value, in one sample or in all.

Beside other inputs some may well be so: a first state of zeros, a mask of ones. A sample is blank where all its inputs are, and
an input that never changes counts where it is float, as a state that was never carried on, or where nothing else changes.
"""

from __future__ import annotations

import numpy as np

from qconv.data.source import Sample


class Constant:
    """Running extremes per input, and how many samples are blank. An input of one element, as a rate, is not looked at."""

    def __init__(self) -> None:
        self._extremes: dict[str, tuple[float, float]] = {}
        self._floats: set[str] = set()
        self._blank = self._seen = 0

    def see(self, sample: Sample) -> None:
        """Takes the extremes of each input."""
        self._seen += 1
        blank = []
        for name, array in sample.feeds.items():
            if array.size < 2:
                continue
            lo, hi = float(np.min(array)), float(np.max(array))
            before = self._extremes.get(name, (lo, hi))
            self._extremes[name] = (min(lo, before[0]), max(hi, before[1]))
            blank.append(lo == hi)
            if array.dtype.kind == "f":
                self._floats.add(name)
        self._blank += bool(blank) and all(blank)

    def findings(self) -> list[str]:
        """The inputs that never change, or else how many samples are blank."""
        constant = {name: lo for name, (lo, hi) in self._extremes.items() if lo == hi}
        named = constant if len(constant) == len(self._extremes) else constant.keys() & self._floats
        found = [
            f"input {name} is {constant[name]:g} in every element of all {self._seen} samples; check how they were written"
            for name in sorted(named)
        ]
        if found or not self._blank:
            return found
        what = f"input {next(iter(self._extremes))} is" if len(self._extremes) == 1 else "all inputs are"
        return [f"{what} blank (all elements equal) in {self._blank} of {self._seen} samples"]
