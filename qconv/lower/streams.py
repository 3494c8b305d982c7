"""What is added to a residual stream, in the steps that the stream has: a sum is then an Add, and nothing is rescaled around it.

    r = a + (factor acc + shift)        a in steps u, factor / u and shift / u over 2^b as integers

The accumulators are cut off where the reals of every channel are beyond four times what calibration has seen of them; channel by
channel where int32 has no room else, as where one channel is far larger than others. Coarser steps, down to 5 bits of a step of 8
bits, leave more room.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.traits import Trait, has_trait
from qconv.plan.wide import is_wide_sum
from qconv.quant.types import QuantParams

_ROOM = 1 << 30  # for a stream and what is added to it
_MOST_STEPS, _STEPS = 1 << 12, 1 << 9  # for a step of 8 bits: with more the stream is cut to so many, or its sums leave int32
_FEWEST_BITS = 5  # of a step of 8 bits that a step of a stream has
_FAR = 4.0  # times the calibrated range
_INT32 = 2**31
_MOST_BITS = 22
_LEAST_GAIN = 64  # of which a half is less than a hundredth


def steps_of_stream(output: ir.Value, ctx: Context) -> list[float]:
    """The steps of the residual stream that a tensor is added to which serve, the finest first: u, 2 u, 4 u and so on."""
    uses = list(output.uses())
    while len(uses) == 1 and has_trait(uses[0].node, Trait.RESHAPES | Trait.PERMUTES) and uses[0].idx == 0:
        uses = list(uses[0].node.outputs[0].uses())
    if len(uses) != 1 or not is_wide_sum(uses[0].node) or str(uses[0].node.outputs[0].name) not in ctx.plan.wide:
        return []
    other = uses[0].node.inputs[1 - uses[0].idx]
    stream = None if other is None else ctx.wide(other)
    if stream is None:
        return []
    unit, step = stream.scale, float(ctx.params(uses[0].node.outputs[0]).scale)
    if unit * _MOST_STEPS < step:
        unit *= 2.0 ** math.floor(math.log2(step / (unit * _STEPS)))
    coarsest = math.floor(math.log2(step / unit)) - _FEWEST_BITS
    return [unit * 2.0**bits for bits in range(coarsest + 1)]


def added_to_stream(
    build: WideBuilder, x: Wide, factor: NDArray[np.floating], shift: NDArray[np.floating], unit: float, y: QuantParams,
    like: ir.Value,
) -> Wide | None:  # fmt: skip
    """factor x + shift by channel of the last axis, in steps of `unit`; None where int32 has no room for fine enough factors.

    `y` are the parameters that the reals would have in 8 bits.
    """
    per_step, offset = factor * x.scale / unit, shift / unit
    reach = max(map(abs, y.ends)) / unit + np.abs(offset)
    needed = reach / np.maximum(np.abs(per_step), 1e-30)  # of x by channel
    for most in (
        np.asarray(min(x.largest, math.ceil(_FAR * float(needed.max())))),
        np.minimum(x.largest, np.ceil(_FAR * needed)).astype(np.int64),
    ):
        found = _gains(per_step, offset, most)
        if found is not None:
            break
    else:
        return None
    gain, bits, ends = found
    base, largest = np.rint(offset * 2.0**bits), math.ceil(ends / 2.0**bits)
    v = build.within_channels(x, most) if most.ndim else build.clipped(x, int(most), "reach")
    scaled = build.emit("Mul", [v.value, build.constant(gain.astype(np.int64), "factor")], like, "scaled")
    moved = build.emit("Add", [scaled, build.constant(base.astype(np.int64), "shift")], like, "moved")
    value = build.over(moved, 1 << bits, like, "in_steps") if bits else moved
    return Wide(value, unit, 0.0, -largest, largest)


def _gains(
    per_step: NDArray[np.floating], offset: NDArray[np.floating], most: NDArray[np.int64]
) -> tuple[NDArray[np.floating], int, float] | None:  # fmt: skip
    """Whole factors over 2^b for integers up to `most`, b, and the largest product; None where they would not be fine enough."""
    for bits in range(_MOST_BITS, -1, -1):
        gain = np.rint(per_step * 2.0**bits)
        ends = float((np.abs(gain) * most + np.abs(offset) * 2.0**bits).max())
        if ends < _INT32 - 1 and ends / 2.0**bits < _ROOM:
            enough = np.abs(gain)[per_step != 0].min(initial=_LEAST_GAIN) >= _LEAST_GAIN
            return (gain, bits, ends) if enough else None
    return None
