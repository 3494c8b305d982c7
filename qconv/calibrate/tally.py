"""The summaries of many tensors at once while samples stream in: one count over all tensors and a buffer of samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qconv.calibrate.averages import Averages
from qconv.calibrate.histogram import BINS, Counts, Histogram, bin_of, exponents
from qconv.calibrate.summary import Summary
from qconv.quant.types import FloatArray

_SAMPLES = 64  # held before they are counted
_ELEMENTS = 1 << 18  # or as soon as there are so many: their indices should stay in the cache


class Tally:
    """Equal to merging `Summary.of` of every sample. Memory depends on the number of tensors only."""

    def __init__(self, tensors: Sequence[str], *, averages: bool) -> None:
        self.tensors = tuple(tensors)
        count = len(self.tensors)
        self._samples = np.zeros(count, np.int64)
        self._lo, self._hi = np.full(count, np.inf), np.full(count, -np.inf)
        self._zeros = np.zeros(count, np.int64)
        self._exponent = exponents(np.zeros(count), np.zeros(count))
        self._first = np.zeros(count, np.int64)  # number of the bin in column 0
        self._counts = np.zeros((count, BINS), np.int64)
        self._averages = [Averages(0.0, 0.0, 0)] * count if averages else None
        self._held: list[tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int64]]] = []
        self._elements = 0

    def add(self, lo: FloatArray, hi: FloatArray, elements: FloatArray, lengths: NDArray[np.int64]) -> None:
        """One sample: extremes [tensors], lo > hi where empty; elements, one tensor after the other; their numbers [tensors]."""
        self._held.append((lo, hi, elements, lengths))
        self._elements += len(elements)
        if len(self._held) == _SAMPLES or self._elements >= _ELEMENTS:
            self._count()

    def summaries(self) -> dict[str, Summary]:
        """All of it."""
        self._count()
        return {name: self._summary(index) for index, name in enumerate(self.tensors)}

    def _count(self) -> None:
        if not self._held:
            return
        lo, hi = np.stack([held[0] for held in self._held]), np.stack([held[1] for held in self._held])
        self._samples += (lo <= hi).sum(axis=0)
        if self._averages is not None:
            latest = [Averages.of(lo[:, index], hi[:, index]) for index in range(len(self.tensors))]
            self._averages = [old.followed_by(new) for old, new in zip(self._averages, latest, strict=True)]
        self._widen(lo.min(axis=0).astype(np.float64), hi.max(axis=0).astype(np.float64))
        for _, _, elements, lengths in self._held:
            self._bin(elements, lengths)
        self._held, self._elements = [], 0

    def _widen(self, lo: NDArray[np.float64], hi: NDArray[np.float64]) -> None:
        """Moves the counts of tensors whose extremes ask for it."""
        self._lo, self._hi = np.minimum(self._lo, lo) + 0.0, np.maximum(self._hi, hi) + 0.0
        filled = self._lo <= self._hi
        low = np.where(filled, self._lo, 0.0)
        exponent = exponents(low, np.where(filled, self._hi, 0.0))
        first = bin_of(low, exponent)
        for index in np.flatnonzero((exponent != self._exponent) | (first != self._first)):
            now = Histogram.trimmed(int(self._exponent[index]), int(self._first[index]), self._counts[index].copy())
            self._counts[index] = 0
            if now.total:
                now = now.coarsened(int(exponent[index]))
                start = now.first - int(first[index])
                self._counts[index, start : start + len(now.counts)] = now.counts
        self._exponent, self._first = exponent, first

    def _bin(self, elements: FloatArray, lengths: NDArray[np.int64]) -> None:
        tensors = len(self.tensors)
        factors = np.ldexp(1.0, -self._exponent)
        index = np.multiply(elements, np.repeat(factors, lengths), dtype=np.float64)
        np.floor(index, out=index)
        columns = index.astype(np.int64)
        columns += np.repeat(np.arange(tensors) * BINS - self._first, lengths)
        self._counts += np.bincount(columns, minlength=tensors * BINS).reshape(tensors, BINS)
        ends = np.cumsum(lengths)
        nonzero = np.concatenate([[0], np.cumsum(elements != 0)])
        zeros: Counts = lengths - (nonzero[ends] - nonzero[ends - lengths])
        self._zeros += zeros
        self._counts[zeros > 0, -self._first[zeros > 0]] -= zeros[zeros > 0]

    def _summary(self, index: int) -> Summary:
        averages = None if self._averages is None else self._averages[index]
        exponent = int(self._exponent[index])
        if not self._samples[index]:
            return Summary(0, 0.0, 0.0, 0, Histogram(exponent, 0, np.zeros(0, np.int64)), averages)
        histogram = Histogram.trimmed(exponent, int(self._first[index]), self._counts[index].copy())
        zeros = int(self._zeros[index])
        return Summary(int(self._samples[index]), float(self._lo[index]), float(self._hi[index]), zeros, histogram, averages)
