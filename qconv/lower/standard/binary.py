"""QLinearAdd and QLinearMul in int32.

q = (a g_a + b g_b + base) / 2^n                  g = round(M 2^n)
q = ((a - Z_a) g / 2^k (b - Z_b) + base) / 2^n    g = round(M 2^(n + k)); a is the smaller operand
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.lower.standard.rescale import room, to_codes
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.quant.types import QuantParams

_GAIN_BITS = 30


def write_sum(node: ir.Node, ctx: Context) -> ir.Value:
    """Each operand in steps of 2^-n of a code of the output; what is beyond the codes is cut off at the end."""
    operands, y, build, like = reads_of(node), written_by(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    multipliers = [float(codes.params.scale) / float(y.scale) for codes in operands]
    bits = room(str(node.name), 256 * (sum(multipliers) + 1))
    terms, offset = [], 0
    for codes, multiplier, step in zip(operands, multipliers, "ab", strict=True):
        gain = round(math.ldexp(multiplier, bits))
        wide = build.of_codes(codes, step)
        terms.append(build.emit("Mul", [wide.value, build.constant(gain, step)], codes.value, f"{step}_scaled"))
        offset -= gain * int(codes.params.zero_point)
    total = build.emit("Add", terms, like, "sum")
    return to_codes(build, total, bits, y, like, offset)


def write_product(node: ir.Node, ctx: Context) -> ir.Value:
    """The multiplier goes into the operand that has fewer elements, where it costs least."""
    (a, b), y, build, like = reads_of(node), written_by(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    if _elements(a.value) > _elements(b.value):
        a, b = b, a
    multiplier = float(a.params.scale) * float(b.params.scale) / float(y.scale)
    bits = room(str(node.name), multiplier * _largest(a.params) * _largest(b.params) + 256)
    left = _centered(build, a, "a")
    more = max(0, _GAIN_BITS - math.ceil(math.log2(math.ldexp(multiplier, bits) * _largest(a.params) + 1)))
    gain = round(math.ldexp(multiplier, bits + more))
    scaled = build.emit("Mul", [left, build.constant(gain, "gain")], a.value, "a_scaled")
    if more:
        scaled = build.emit("Div", [scaled, build.constant(1 << more, "cut")], a.value, "a_shifted")
    product = build.emit("Mul", [scaled, _centered(build, b, "b")], like, "product")
    return to_codes(build, product, bits, y, like)


def _centered(build: WideBuilder, codes: Codes, step: str) -> ir.Value:
    """Codes less their zero point."""
    wide, zero = build.of_codes(codes, step), int(codes.params.zero_point)
    return build.emit("Sub", [wide.value, build.constant(zero, step)], codes.value, f"{step}_centered") if zero else wide.value


def _largest(params: QuantParams) -> int:
    """The greatest distance of a code from the zero point."""
    limits, zero = np.iinfo(params.int_type.dtype), int(params.zero_point)
    return int(max(limits.max - zero, zero - limits.min))


def _elements(value: ir.Value) -> int:
    """The known sizes of a tensor, multiplied."""
    shape = value.shape
    return 0 if shape is None else math.prod(size for size in shape if isinstance(size, int))
