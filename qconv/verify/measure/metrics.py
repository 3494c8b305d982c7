"""How far one tensor is from another, over any number of samples: sums are kept, never samples.

    SQNR   = 10 log10(sum f^2 / sum (f - g)^2)   in dB
    cosine = sum f g / sqrt(sum f^2  sum g^2)
    largest error = max |f - g|

f is the reference. float32 is subtracted and squared in float32, which costs a third of the time and moves a figure in dB by less
than 1e-5: sums of short rows are added up in float64, and what has no room in float32 is reckoned in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Blocks = Callable[[slice], Array]  # some elements of a flat tensor, in float32 or float64

_ROW = 256  # elements whose sum is taken in float32: 8 rounding errors one after the other, as 32 are added up at a time
_BLOCK = 1024 * _ROW  # elements: temporaries stay near the processor, and threads rarely wait for each other
_SURE = 2.0**-90, 2.0**120  # sums of squares in float32 between these have lost nothing that matters


@dataclass(frozen=True)
class Similarity:
    """What `SimilarityMeter` found.

    Without any error the SQNR is +inf; it is -inf where the reference is zero and the other is not, or where one is not finite.
    """

    sqnr_db: float
    cosine: float
    max_error: float
    elements: int

    @property
    def exact(self) -> bool:
        """Whether the tensors are equal."""
        return self.max_error == 0.0


class SimilarityMeter:
    """Adds up pairs of arrays of one tensor."""

    def __init__(self) -> None:
        self._signal = self._noise = self._other = self._product = 0.0
        self._largest, self._elements = 0.0, 0

    def add(self, reference: Array, other: Array) -> None:
        """One more sample; raises ValueError where the shapes differ. Equal infinities and pairs of NaN count as no error."""
        if np.shape(reference) != np.shape(other):
            raise ValueError(f"{np.shape(other)} cannot be compared with {np.shape(reference)}")
        f, g = np.ravel(reference), np.ravel(other)
        add_blocks(lambda block: _floats(f[block]), f.size, [(self, lambda block: _floats(g[block]))])

    def add_block(self, f: Array, g: Array, signal: float) -> None:
        """Some elements; `signal` is the sum of squares of `f`."""
        self._elements += f.size
        other = _squares(g)
        if not math.isfinite(signal + other):
            f, g = self._finite(f, g)
            signal, other = _squares(f), _squares(g)
        if not f.size:
            return
        if not _SURE[0] < min(signal, other) <= max(signal, other) < _SURE[1]:
            f, g = f.astype(np.float64), g.astype(np.float64)
        error = f - g
        self._signal += signal
        self._other += other
        self._product += _dot(f, g)
        self._noise += _squares(error)
        self._largest = max(self._largest, float(error.max()), -float(error.min()))

    def _finite(self, f: Array, g: Array) -> tuple[Array, Array]:
        """The pairs that are finite on both sides; what only one side has is an infinite error."""
        finite = np.isfinite(f) & np.isfinite(g)
        alike = (f == g) | (np.isnan(f) & np.isnan(g))
        if not (finite | alike).all():
            self._noise = self._largest = math.inf
        return f[finite], g[finite]

    def result(self) -> Similarity:
        """The figures over everything that was added."""
        return Similarity(self._sqnr_db(), self._cosine(), self._largest, self._elements)

    def _sqnr_db(self) -> float:
        if self._noise == 0.0:
            return math.inf
        if self._signal == 0.0 or math.isinf(self._noise):
            return -math.inf
        return 10.0 * (math.log10(self._signal) - math.log10(self._noise))

    def _cosine(self) -> float:
        if self._largest == 0.0:
            return 1.0
        length = math.sqrt(self._signal) * math.sqrt(self._other)
        return max(-1.0, min(1.0, self._product / length)) if length > 0.0 else 0.0


def _floats(array: Array) -> Array:
    """As floats of at least 32 bits that hold every element."""
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def _squares(f: Array) -> float:
    """The sum of squares."""
    found = _dot(f, f)
    if f.dtype == np.float32 and not _SURE[0] < found < _SURE[1]:
        wide = f.astype(np.float64)
        return _dot(wide, wide)
    return found


def _dot(f: Array, g: Array) -> float:
    """A dot product on this thread: the threads of a BLAS cost more than they save, a hundredfold where others use the cores."""
    whole = len(f) // _ROW * _ROW
    rows = np.einsum("ij,ij->i", f[:whole].reshape(-1, _ROW), g[:whole].reshape(-1, _ROW))
    return float(rows.sum(dtype=np.float64)) + float(np.einsum("i,i", f[whole:], g[whole:]))


def add_blocks(reference: Blocks, size: int, others: Sequence[tuple[SimilarityMeter, Blocks]]) -> None:
    """Compares tensors of `size` elements with one reference, whose elements are read once for all meters."""
    for start in range(0, size, _BLOCK):
        block = slice(start, start + _BLOCK)
        f = reference(block)
        signal = _squares(f)
        for meter, other in others:
            meter.add_block(f, other(block), signal)
