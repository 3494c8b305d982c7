"""The summaries of many tensors at once while samples stream in: one count over all tensors and a buffer of samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qconv.quant.types import FloatArray
from qconv.statistics.averages import Averages
from qconv.statistics.bin_layout import UNSEEN, BinLayout, Numbers, innermost_of, magnitudes_of
from qconv.statistics.histogram import bin_of, edge_of, exponents
from qconv.statistics.summary import Summary

_SAMPLES = 64  # held before they are counted
_ELEMENTS = 1 << 20  # or as soon as there are so many


class HistogramBank:
    """Equal to merging `Summary.of` of every sample. Memory depends on the number of tensors only."""

    def __init__(self, tensors: Sequence[str], *, averages: bool) -> None:
        self.tensors = tuple(tensors)
        count = len(self.tensors)
        self._samples = np.zeros(count, np.int64)
        self._lo, self._hi = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
        none = np.zeros(count, np.float32)
        self._columns = BinLayout.reaching(none, none, exponents(none, none), np.full(count, UNSEEN))
        self._counts = np.zeros(len(self._columns), np.int64)
        self._averages = [Averages(0.0, 0.0, 0)] * count if averages else None
        self._held: list[tuple[FloatArray, FloatArray, FloatArray, Numbers]] = []
        self._elements = 0

    def add(self, lo: FloatArray, hi: FloatArray, elements: FloatArray, lengths: Numbers) -> None:
        """One sample: extremes [tensors], lo > hi where empty; elements, one tensor after the other; their numbers [tensors]."""
        self._held.append((lo, hi, elements, lengths))
        self._elements += len(elements)
        if len(self._held) == _SAMPLES or self._elements >= _ELEMENTS:
            self._count()

    def summaries(self) -> dict[str, Summary]:
        """The summaries of all tensors so far."""
        self._count()
        return {name: self._summary(index) for index, name in enumerate(self.tensors)}

    def _count(self) -> None:
        if not self._held:
            return
        self._extend(np.stack([held[0] for held in self._held]), np.stack([held[1] for held in self._held]))
        lo, hi = self._extremes()
        exponent = exponents(lo, hi)
        magnitudes = [magnitudes_of(elements, lengths, exponent) for _, _, elements, lengths in self._held]
        innermost = [innermost_of(found, held[3]) for found, held in zip(magnitudes, self._held, strict=True)]
        self._rearrange(BinLayout.reaching(lo, hi, exponent, np.minimum.reduce([self._innermost(exponent), *innermost])))
        columns = [self._columns.of(found, held[2], held[3]) for found, held in zip(magnitudes, self._held, strict=True)]
        self._counts += np.bincount(np.concatenate(columns), minlength=len(self._columns))
        self._held, self._elements = [], 0

    def _extend(self, lo: FloatArray, hi: FloatArray) -> None:
        """Makes room for the extremes [samples, tensors]."""
        self._samples += (lo <= hi).sum(axis=0)
        if self._averages is not None:
            latest = [Averages.of(lo[:, index], hi[:, index]) for index in range(len(self.tensors))]
            self._averages = [old.followed_by(new) for old, new in zip(self._averages, latest, strict=True)]
        self._lo = np.minimum(self._lo, lo.min(axis=0)) + np.float32(0)  # no -0.0, which would tell the order
        self._hi = np.maximum(self._hi, hi.max(axis=0)) + np.float32(0)

    def _extremes(self) -> tuple[FloatArray, FloatArray]:
        """The extremes; both are 0 where nothing was seen."""
        seen = self._lo <= self._hi
        return np.where(seen, self._lo, np.float32(0)), np.where(seen, self._hi, np.float32(0))

    def _innermost(self, exponent: Numbers) -> Numbers:
        """The least magnitude of what is counted already, in the bins of `exponent`."""
        now = self._columns
        moved = np.flatnonzero((exponent != now.exponent) & (now.innermost != UNSEEN))
        found = now.innermost.copy()
        for tensor in moved:
            found[tensor] = bin_of(edge_of(now.innermost[tensor], int(now.exponent[tensor])), int(exponent[tensor]))
        return found

    def _rearrange(self, columns: BinLayout) -> None:
        """Moves what is counted into other columns."""
        if columns.equals(self._columns):
            return
        counts = np.zeros(len(columns), np.int64)
        for tensor in range(len(self.tensors)):
            histogram, zeros = self._columns.histogram(self._counts, tensor)
            columns.place(histogram.coarsened(int(columns.exponent[tensor])), zeros, counts, tensor)
        self._columns, self._counts = columns, counts

    def _summary(self, tensor: int) -> Summary:
        averages = None if self._averages is None else self._averages[tensor]
        lo, hi = self._extremes()
        histogram, zeros = self._columns.histogram(self._counts, tensor)
        return Summary(int(self._samples[tensor]), float(lo[tensor]), float(hi[tensor]), zeros, histogram, averages)
