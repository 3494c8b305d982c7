"""Codes of a weight over copies of input channels, where they are beyond int8 or neighbours of them saturate.

A layer may read a channel several times, with a part of its code at each place. Its accumulators stay what they were:

    sum_i w[i] x[i] = sum_i a[i] x[i] + sum_j c[j] x[j],        w[j] = a[j] + c[j]

Every second channel is read again where that is enough: its copy takes what its pair has too much (quant/saturation.py). Else all
channels are read two to four times, with a like share at each place: no two quarters of 255 pass 128.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qconv.quant.saturation import PAIR_LIMIT
from qconv.quant.types import INT8, IntArray

_MOST_SHARES = 4


@dataclass(frozen=True)
class Copies:
    """Codes whose input channels are those of the weight at each of the `strides`, one behind the other: (1, 2) is every channel
    and then every second one.
    """

    codes: IntArray
    strides: tuple[int, ...]


def fits_int8(codes: IntArray) -> bool:
    """Whether codes are of type int8."""
    return bool(INT8.qmin <= codes.min(initial=0) and codes.max(initial=0) <= INT8.qmax)


def over_copies(codes: IntArray, axis: int, is_safe: Callable[[IntArray], bool]) -> Copies:
    """Codes from -255 to 255 as int8 codes over the fewest copies of the channels that lie along `axis`.

    `is_safe` tells whether a kernel takes the codes of a weight with more input channels.
    """
    for copies in _candidates(codes.astype(np.int16), axis):
        if fits_int8(copies.codes) and is_safe(copies.codes):
            return Copies(copies.codes.astype(np.int8), copies.strides)
    raise AssertionError("quarters of codes always fit")


def _candidates(codes: IntArray, axis: int) -> Iterator[Copies]:
    yield Copies(codes, (1,))
    if codes.shape[axis] % 2 == 0:
        yield _every_second(codes, axis)
    for count in range(2, _MOST_SHARES + 1):
        ends = [np.abs(codes) * place // count for place in range(count + 1)]
        shares = [np.sign(codes) * (high - low) for low, high in pairwise(ends)]
        yield Copies(np.concatenate(shares, axis), (1,) * count)


def _every_second(codes: IntArray, axis: int) -> Copies:
    """The even channels twice, with what they and their odd neighbours have too much in the copy."""
    kept = codes.copy()
    channels = np.moveaxis(kept, axis, 0)
    even, odd = channels[0::2], channels[1::2]
    together = np.where(np.sign(even) == np.sign(odd), np.abs(even) + np.abs(odd) - PAIR_LIMIT, 0)
    moved = np.sign(even) * np.maximum(np.maximum(together, np.abs(even) - INT8.qmax), 0)
    even -= moved
    return Copies(np.concatenate([kept, np.moveaxis(moved, 0, axis)], axis), (1, 2))
