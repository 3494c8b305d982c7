"""Samples that occur more than once.

Two arrays count as equal where 16384 evenly spaced elements and the sum of all agree: hashing all of them would cost a third of
the time of a small network.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.data.source import Sample

_REMEMBERED = 100_000  # digests of 8 bytes; later samples are compared with these only
_LOOKED_AT = 16384  # elements of an array


class Identical:
    """Digests of the first samples; two different ones agree by chance with probability 1e-9."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._seen = self._repeated = 0
        self._example: tuple[str, str] | None = None

    def see(self, sample: Sample) -> None:
        """Compares with all that are remembered."""
        digest = blake2b(digest_size=8)
        for name in sorted(sample.feeds):
            digest.update(_fingerprint(sample.feeds[name]))
        key = digest.digest()
        self._seen += 1
        if key in self._names:
            self._repeated += 1
            self._example = self._example or (sample.name, self._names[key])
        elif len(self._names) < _REMEMBERED:
            self._names[key] = sample.name

    def findings(self) -> list[str]:
        """How many are copies, with an example."""
        if self._example is None:
            return []
        copy, first = self._example
        if self._repeated == self._seen - 1:
            return [f"all {self._seen} samples are identical; give samples that differ"]
        return [f"{self._repeated} of {self._seen} samples repeat earlier ones, the first {copy}, which equals {first}"]


def _fingerprint(array: NDArray[Any]) -> bytes:
    flat = np.ascontiguousarray(array).reshape(-1)
    chosen = flat[:: flat.size // _LOOKED_AT + 1]
    with np.errstate(over="ignore"):  # of damaged data; what the model makes of them is told elsewhere
        total = np.asarray(flat.sum())
    return str(array.shape).encode() + chosen.tobytes() + total.tobytes()
