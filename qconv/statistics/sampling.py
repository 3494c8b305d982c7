"""Which elements of a large tensor are counted in its histogram.

Of a tensor of n elements, those at phase, phase + step, phase + 2 step, ... of the flattened array, with

    step  = the smallest number from n / MOST on that has no factor in common with any dimension   (fixed shapes)
    step  = floor(n / MOST) | 1, the next odd number                                               (free shapes)
    phase = crc32 of some of the sample's own input values, modulo step

so at most about `MOST` elements (less than twice that where n < 2 MOST and the shape is free); minimum and maximum are always
exact. Where only the size of a batch is free, n is that of one of its items, and a batch yields as many times more. The phase is
as good as random over the samples, and does not depend on their order or on how they are cut.

Of a picture of fixed size, every third row and column is looked at where that leaves `MOST` elements: a MaxPool of kernel 1 picks
them in onnxruntime's blocked layout, and only they are converted, which saves a fifth of the time of MobileNet. n and the
dimensions are then those of what was picked. The first row and column are always among it.

Error, against the elements on that grid (those off it are never counted; docs/calibration.md has how much they differ on real
networks, and `exact` counts all): as each residue is equally likely, the counts of one sample are an unbiased estimate, in
[0, 1], of the share F_i(x) of its elements up to x. Over m samples, whatever dependence there is between neighbouring elements,
by Hoeffding's inequality

    P(|F^(x) - F(x)| > t) <= 2 exp(-2 m t^2)

and, where a step apart elements are as good as independent, by that of Dvoretzky, Kiefer and Wolfowitz (Massart 1990), for all x

    P(sup |F^ - F| > t)   <= 2 exp(-2 N t^2),      N = the number of elements counted

at 100 samples of 512 elements: t = 0.6 % at 95 %. In the tail, a value that a share p of the elements exceeds is missed
altogether with the probability (1 - p)^N: at N = 51200, 95 % of all p > 0.006 %.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray

MOST = 512
GRID = 3  # prime to the strides of networks, so that what a layer does at every second or fourth place is seen as often as it is
_LARGE = 14  # rows and columns of a picture that is worth it
_PICTURE_RANK = 4
_HASHED = 256  # input values that decide the phase: enough to tell samples apart, and a few microseconds

Shape = tuple[int | None, ...] | None


def step_of_shape(shape: Sequence[int]) -> int:
    """The step for a tensor of fixed shape."""
    size = int(np.prod(shape, dtype=np.int64))
    step = max(1, -(-size // MOST))
    while step > 1 and any(gcd(step, dimension) > 1 for dimension in shape):
        step += 1
    return step


def step_of_size(size: int) -> int:
    """The step for a tensor whose shape is known when it is there."""
    return size // MOST | 1


def seed_of(feeds: Mapping[str, NDArray[Any]]) -> int:
    """A number in [0, 2^31) that depends on the values of a sample and on nothing else."""
    seed = 0
    for name in sorted(feeds):
        flat = feeds[name].reshape(-1)
        seed = zlib.crc32(np.ascontiguousarray(flat[:: max(1, flat.size // _HASHED)]).tobytes(), seed)
    return seed >> 1


def grid_of_shape(shape: Sequence[int] | None) -> int:
    """Every how many rows and columns of a picture are looked at; 1 for everything else."""
    if shape is None or len(shape) != _PICTURE_RANK or min(shape[2:]) < _LARGE:
        return 1
    return GRID if np.prod(_thinned(shape, GRID)) >= MOST else 1


def _thinned(shape: Sequence[int], grid: int) -> tuple[int, ...]:
    return (*shape[:2], *(-(-size // grid) for size in shape[2:])) if grid > 1 else tuple(shape)


@dataclass(frozen=True)
class Sampling:
    """The rule for a list of tensors.

    `shapes` has the dimensions of what is counted, with a free number of pictures or rows as 1; None where more is free. `grids`
    tells every how many rows and columns of a tensor that is, `free` which tensors have a size that only a run tells.
    """

    shapes: tuple[tuple[int, ...] | None, ...]
    grids: tuple[int, ...]
    free: tuple[bool, ...]
    exact: bool

    @classmethod
    def of(cls, shapes: Sequence[Shape], exact: bool) -> Self:
        """The sampling for tensors of these shapes; None stands for a free dimension, or for a free rank."""
        grids = tuple(1 if exact else grid_of_shape(shape) for shape in map(_batchless, shapes))
        known = zip(map(_batchless, shapes), grids, strict=True)
        counted = tuple(None if shape is None else _thinned(shape, grid) for shape, grid in known)
        return cls(counted, grids, tuple(shape is None or None in shape for shape in shapes), exact)

    def lengths(self, seed: int, measured: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many elements are taken of each tensor, given those of the free ones, in order."""
        sizes, steps = self._fixed
        lengths: NDArray[np.int64] = (sizes - seed % steps + steps - 1) // steps
        lengths[np.array(self.free, bool)] = measured
        return lengths

    def pick(self, arrays: Sequence[FloatArray], seed: int) -> list[FloatArray]:
        """What the graph would take from whole tensors."""
        pairs = zip(arrays, self.grids, strict=True)
        thinned = [array[:, :, ::grid, ::grid] if grid > 1 else array for array, grid in pairs]
        steps = [self._step(shape, array.size) for shape, array in zip(self.shapes, thinned, strict=True)]
        return [array.reshape(-1)[seed % step :: step] for array, step in zip(thinned, steps, strict=True)]

    @cached_property
    def _fixed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sizes and steps of all tensors, 0 and 1 where they are not known."""
        known = [(0, 1) if shape is None else (prod(shape), self._step(shape, prod(shape))) for shape in self.shapes]
        sizes, steps = np.array(known, np.int64).reshape(-1, 2).T
        return sizes, steps

    def _step(self, shape: Sequence[int] | None, size: int) -> int:
        if self.exact:
            return 1
        return step_of_size(size) if shape is None else step_of_shape(shape)


def _batchless(shape: Shape) -> tuple[int, ...] | None:
    """A shape with its free first dimension as 1; None where others are free."""
    if shape is None or None in shape[1:]:
        return None
    return tuple(1 if size is None else size for size in shape)
