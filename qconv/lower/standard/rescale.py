"""The way from int32 sums to codes in int32 alone, by one integer gain for each multiplier M.

    v = clip(acc, where the codes end) / 2^c          c bits cut off, where the gain needs their room
    q = ((v gain + (Z + 1/2) 2^b) / 2^b               gain = round(M 2^(b + c)), clipped to the codes

b and c are chosen for the least error of both roundings: a few hundredths of a code where sums have 20 bits, none where they
have 8. onnxruntime, other runtimes and exact arithmetic give the same codes, since all of it is arithmetic in int32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.quant.fixedpoint import Int64Array
from qconv.quant.types import QuantParams

_INT32 = 2**31 - 1
_MOST_BITS = 22  # behind the point of a code


def rescaled(
    build: WideBuilder, acc: ir.Value, ends: tuple[Int64Array, Int64Array], multiplier: NDArray[np.float64], y: QuantParams,
    like: ir.Value,
) -> ir.Value:  # fmt: skip
    """clamp(Z + round(acc M)) for sums between `ends`; M and the ends are one number or broadcast to the sums."""
    limits = np.iinfo(y.int_type.dtype)
    zero, codes = int(y.zero_point), np.asarray([limits.min, limits.max])
    low, high = (np.broadcast_to(end, multiplier.shape) for end in ends)
    least = np.maximum(np.floor((codes[0] - zero - 1) / multiplier), -_INT32)
    most = np.minimum(np.ceil((codes[1] - zero + 1) / multiplier), _INT32)
    if (low < least).any():
        low = np.maximum(low, least).astype(np.int64)
        acc = build.emit("Max", [acc, build.constant(low, "least")], like, "at_least")
    if (high > most).any():
        high = np.minimum(high, most).astype(np.int64)
        acc = build.emit("Min", [acc, build.constant(high, "most")], like, "at_most")
    largest = np.maximum(np.maximum(-low, high), 1)
    bits = room(build.place, float((largest * multiplier).max()) + abs(zero - limits.min) + 2)
    cut = _cut(largest, multiplier, bits)
    if cut.any():
        acc = build.emit("Div", [acc, build.constant(1 << cut, "cut")], like, "shifted")
    gain = np.rint(np.ldexp(multiplier, bits + cut)).astype(np.int64)
    scaled = build.emit("Mul", [acc, build.constant(gain, "gain")], like, "scaled")
    return to_codes(build, scaled, bits, y, like)


def to_codes(
    build: WideBuilder, scaled: ir.Value, bits: int, y: QuantParams, like: ir.Value, offset: int = 0
) -> ir.Value:  # fmt: skip
    """The codes of y of integers in steps of 2^-bits of a code, as seen from the zero point; `offset` is to be added to them."""
    lowest = int(np.iinfo(y.int_type.dtype).min)
    base = ((2 * (int(y.zero_point) - lowest) + 1) << (bits - 1)) + offset
    moved = build.emit("Add", [scaled, build.constant(base, "zero_point")], like, "moved")
    wide = Wide(moved, float(y.scale) / (1 << bits), 0.0, -_INT32, _INT32)
    return build.codes(wide, y, like).value


def room(place: str, reach: float) -> int:
    """How many bits int32 leaves behind the point of numbers up to `reach`. Raises ArtifactError where it leaves none."""
    bits = min(_MOST_BITS, int(np.floor(np.log2(_INT32 / (reach + 1)))))
    if bits < 1:
        raise ArtifactError(f"node {place} leaves int32 under this plan; let the plan leave it in float (float_nodes)")
    return bits


def _cut(largest: Int64Array, multiplier: NDArray[np.float64], bits: int) -> Int64Array:
    """The bits to cut off for each multiplier: what the cut loses against what the rounding of the gain does."""
    cuts = np.arange(24).reshape((24,) + (1,) * multiplier.ndim)
    gain_error = np.ldexp(largest / 2.0, -(bits + cuts))
    error = gain_error + np.where(cuts > 0, np.ldexp(multiplier, cuts), 0.0)
    return np.asarray(error.argmin(axis=0), np.int64)
