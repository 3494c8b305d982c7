"""Brute force for the methods, on the elements themselves: it shares no code with what it judges.

`Bins` builds the bins anew from their definition: 2^w wide with w = min(e, floor(log2 |x|) - 7), e the least exponent for which
the extremes span at most 2048 bins of 2^e.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def width(x: float, exponent: int) -> float:
    """Of the bin with x."""
    near = math.floor(math.log2(abs(x))) - 7 if x else exponent
    return 2.0 ** min(exponent, near)


class Bins:
    """The bins of elements that are not zero, ascending, with the gaps between them as bins of count 0."""

    def __init__(self, elements: NDArray[np.float32]) -> None:
        values = np.sort(elements[elements != 0].astype(np.float64))
        lo, hi = float(elements.min()), float(elements.max())
        self.exponent = math.floor(math.log2(max(-lo, hi))) - 23  # no finer than float32
        while math.floor(hi / 2.0**self.exponent) - math.floor(lo / 2.0**self.exponent) >= 2048:
            self.exponent += 1
        found: dict[tuple[float, float], int] = {}
        for value in values.tolist():
            size = width(value, self.exponent)
            inner = math.floor(abs(value) / size) * size
            ends = (inner, inner + size) if value > 0 else (-inner - size, -inner)
            found[ends] = found.get(ends, 0) + 1
        self.edges = np.unique(np.array(sorted(found)))
        self.counts = np.array([found.get(ends, 0) for ends in zip(self.edges[:-1], self.edges[1:], strict=True)])
        self.widths = np.diff(self.edges)
        self.centres = (self.edges[:-1] + self.edges[1:]) / 2


def grid(lo: float, hi: float, bits: int, symmetric: bool) -> tuple[float, int, int]:
    """Scale, stored as float32, and the lowest and the highest code counted from zero."""
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    if symmetric:
        highest = 2 ** (bits - 1) - 1
        return float(np.float32(max(-lo, hi) / highest)), -highest - 1, highest
    scale = float(np.float32((hi - lo) / (2**bits - 1)))
    zero_point = round(-lo / scale)
    return scale, -zero_point, 2**bits - 1 - zero_point


def squared_error(elements: Doubles, lo: float, hi: float, bits: int, symmetric: bool) -> float:
    """The mean over the elements, quantized and back."""
    scale, lowest, highest = grid(lo, hi, bits, symmetric)
    codes = np.clip(np.round(elements / scale), lowest, highest)
    return float(np.square(elements - scale * codes).mean())


def divergence(bins: Bins, elements: NDArray[np.float32], threshold: float, bits: int, symmetric: bool) -> float:
    """KL(P || Q) of a threshold less what chance adds, as the sum that defines it.

    A clipped bin that is empty has half an element in Q.
    """
    lo, hi = float(elements.min()), float(elements.max())
    scale, lowest, highest = grid(max(lo, -threshold), min(hi, threshold), bits, symmetric)
    inner = np.flatnonzero((np.abs(bins.centres) < threshold) | (threshold >= max(-lo, hi)))
    counts, widths, first, last = bins.counts[inner], bins.widths[inner], inner[0], inner[-1]
    p = counts.astype(np.float64)
    p[0] += bins.counts[:first].sum()
    p[-1] += bins.counts[last + 1 :].sum()
    q = np.full(len(inner), 0.5)
    codes = np.clip(np.round(bins.centres[inner] / scale), lowest, highest).astype(int) - lowest
    filled = counts > 0
    mass = np.bincount(codes[filled], counts[filled])
    reach = np.bincount(codes[filled], widths[filled])
    q[filled] = mass[codes[filled]] * widths[filled] / reach[codes[filled]]
    chance = (np.count_nonzero(filled) - np.count_nonzero(mass)) / (2 * elements.size)
    zeros = np.count_nonzero(elements == 0)
    p, q = (np.append(part[p > 0], [zeros] if zeros else []) for part in (p, q))
    return float((p / elements.size * np.log((p / elements.size) / (q / (counts.sum() + zeros)))).sum() - chance)
