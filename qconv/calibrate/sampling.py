"""Which elements of a large tensor are counted in its histogram.

Of a tensor of n elements, those at phase, phase + step, phase + 2 step, ... of the flattened array, with

    step  = the smallest number from n / MOST on that has no factor in common with any dimension   (fixed shapes)
    step  = 2 floor(n / (2 MOST)) + 1                                                              (free shapes)
    phase = crc32 of some of the sample's own input values, modulo step

so at most about `MOST` elements (less than twice that where n < 2 MOST and the shape is free); minimum and maximum are always
exact. The phase is as good as random over the samples, and does not depend on their order or on how they are cut.

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
from math import gcd
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.calibrate.appender import Appender
from qconv.quant.types import FloatArray

MOST = 512
GRID = 3  # prime to the strides of networks, so that what a layer does at every second or fourth place is seen as often as it is
_LARGE = 14  # rows and columns of a picture that is worth it
_PICTURE_RANK = 4
_INTEGER = ir.DataType.INT64
_HASHED = 256  # input values that decide the phase: enough to tell samples apart, and a few microseconds


def step_of_shape(shape: Sequence[int]) -> int:
    """For a tensor of fixed shape."""
    size = int(np.prod(shape, dtype=np.int64))
    step = max(1, -(-size // MOST))
    while step > 1 and any(gcd(step, dimension) > 1 for dimension in shape):
        step += 1
    return step


def step_of_size(size: int) -> int:
    """For a tensor whose shape is known when it is there."""
    return size // (2 * MOST) * 2 + 1


def seed_of(feeds: Mapping[str, NDArray[Any]]) -> int:
    """A number in [0, 2^31) that depends on the values of a sample and on nothing else."""
    seed = 0
    for name in sorted(feeds):
        flat = feeds[name].reshape(-1)
        seed = zlib.crc32(np.ascontiguousarray(flat[:: max(1, flat.size // _HASHED)]).tobytes(), seed)
    return seed >> 1


def grid_of_shape(shape: Sequence[int]) -> int:
    """Every how many rows and columns of a picture are looked at; 1 for everything else."""
    picture = len(shape) == _PICTURE_RANK and min(shape[2:]) >= _LARGE
    return GRID if picture and np.prod(_thinned(shape, GRID)) >= MOST else 1


def _thinned(shape: Sequence[int], grid: int) -> tuple[int, ...]:
    return (*shape[:2], *(-(-size // grid) for size in shape[2:])) if grid > 1 else tuple(shape)


@dataclass(frozen=True)
class Sampling:
    """The rule for a list of tensors.

    `shapes` has the dimensions of what is counted where they are fixed, None where they are free; `grids` every how many rows
    and columns of a tensor that is.
    """

    shapes: tuple[tuple[int, ...] | None, ...]
    grids: tuple[int, ...]
    exact: bool
    seed_input: str | None  # of the model that samples; None where every element is taken

    def fixed_sizes(self) -> NDArray[np.int64] | None:
        """The number of elements of each tensor, or None where some are free."""
        if None in self.shapes:
            return None
        return np.array([np.prod(shape, dtype=np.int64) for shape in self.shapes if shape is not None], np.int64)

    def steps(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """[tensors], given their numbers of elements."""
        if self.exact:
            return np.ones(len(sizes), np.int64)
        pairs = zip(self.shapes, sizes.tolist(), strict=True)
        return np.array([step_of_size(n) if shape is None else step_of_shape(shape) for shape, n in pairs], np.int64)

    def pick(self, arrays: Sequence[FloatArray], seed: int) -> list[FloatArray]:
        """What the graph would take from whole tensors."""
        pairs = zip(arrays, self.grids, strict=True)
        thinned = [array[:, :, ::grid, ::grid] if grid > 1 else array for array, grid in pairs]
        steps = self.steps(np.array([array.size for array in thinned], np.int64)).tolist()
        return [array.reshape(-1)[seed % step :: step] for array, step in zip(thinned, steps, strict=True)]


def lengths(sizes: NDArray[np.int64], steps: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """How many elements are taken of each tensor."""
    taken: NDArray[np.int64] = (sizes - seed % steps + steps - 1) // steps
    return taken


def sample(values: Sequence[ir.Value], appender: Appender, exact: bool) -> tuple[list[ir.Value], list[ir.Value], Sampling]:
    """The elements of each value; a vector of all sizes, where some are free; and the rule that was followed."""
    shapes = tuple(_fixed_shape(value) for value in values)
    grids = tuple(1 if exact else _grid(value) for value in values)
    values = [appender.thin(value, grid) if grid > 1 else value for value, grid in zip(values, grids, strict=True)]
    shapes = tuple(None if shape is None else _thinned(shape, grid) for shape, grid in zip(shapes, grids, strict=True))
    sizes = [_sizes(values, appender)] if None in shapes else []
    if exact or not values:
        return [appender.flat(value) for value in values], sizes, Sampling(shapes, grids, exact, None)
    seed = appender.integer_input("qconv_seed")
    free = [value for value, shape in zip(values, shapes, strict=True) if shape is None]
    fixed = [value for value, shape in zip(values, shapes, strict=True) if shape is not None and step_of_shape(shape) > 1]
    taken = _strided(fixed, *_fixed_steps(fixed, appender), seed, appender) if fixed else {}
    taken |= _strided(free, *_free_steps(free, appender), seed, appender) if free else {}
    elements = [taken[value] if value in taken else appender.flat(value) for value in values]
    return elements, sizes, Sampling(shapes, grids, exact, seed.name)


def _grid(value: ir.Value) -> int:
    """As `grid_of_shape`; the number of pictures in a batch may be free."""
    if value.shape is None or not all(isinstance(size, int) for size in value.shape[1:]):
        return 1
    return grid_of_shape((1, *(size for size in value.shape[1:] if isinstance(size, int))))


def _fixed_shape(value: ir.Value) -> tuple[int, ...] | None:
    if value.shape is None or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(int(size) for size in value.shape if isinstance(size, int))


def _sizes(values: Sequence[ir.Value], appender: Appender) -> ir.Value:
    each = [appender.append("Shape", [appender.flat(value)], "qconv_size", dtype=_INTEGER) for value in values]
    return appender.append("Concat", each, "qconv_sizes", {"axis": 0}, _INTEGER)


def _fixed_steps(values: Sequence[ir.Value], appender: Appender) -> tuple[ir.Value, Sequence[ir.Value]]:
    """The steps in one vector, and each by itself."""
    steps = [step_of_shape(shape) for value in values if (shape := _fixed_shape(value)) is not None]
    return appender.integers(*steps), [appender.integers(step) for step in steps]


def _free_steps(values: Sequence[ir.Value], appender: Appender) -> tuple[ir.Value, Sequence[ir.Value]]:
    """As `_fixed_steps`; computed in the graph as `step_of_size` does."""
    steps = appender.append("Div", [_sizes(values, appender), appender.integers(2 * MOST)], "qconv_step", dtype=_INTEGER)
    steps = appender.append("Mul", [steps, appender.integers(2)], "qconv_step", dtype=_INTEGER)
    steps = appender.append("Add", [steps, appender.integers(1)], "qconv_step", dtype=_INTEGER)
    return steps, _split(steps, len(values), appender)


def _strided(
    values: Sequence[ir.Value], steps: ir.Value, each: Sequence[ir.Value], seed: ir.Value, appender: Appender
) -> dict[ir.Value, ir.Value]:
    phases = appender.append("Mod", [seed, steps], "qconv_phases", dtype=_INTEGER)
    starts = _split(phases, len(values), appender)
    end, axis = appender.integers(np.iinfo(np.int64).max), appender.integers(0)
    return {
        value: appender.append("Slice", [appender.flat(value), start, end, axis, step], f"{value.name}_sample")
        for value, start, step in zip(values, starts, each, strict=True)
    }


def _split(vector: ir.Value, count: int, appender: Appender) -> Sequence[ir.Value]:
    if count == 1:
        return [vector]
    return appender.append_many("Split", [vector], "qconv_part", count, {"axis": 0, "num_outputs": count}, _INTEGER)
