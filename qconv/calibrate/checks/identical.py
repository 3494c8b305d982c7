"""Samples that occur more than once."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from qconv.calibrate.data.source import Sample

_REMEMBERED = 100_000  # digests of 8 bytes; later samples are compared with these only


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
            digest.update(np.ascontiguousarray(sample.feeds[name]).data.cast("B") if sample.feeds[name].size else b"")
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
