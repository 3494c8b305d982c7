"""The types that codes have in a quantized graph, and the Clips that narrow them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import const_array, sole_consumer
from qconv.quant.pins import with_sign
from qconv.quant.types import INT8, UINT8, IntType, QuantParams

TYPES = {
    ir.DataType.INT8: INT8,
    ir.DataType.UINT8: UINT8,
    ir.DataType.INT4: IntType(4, signed=True),
    ir.DataType.UINT4: IntType(4, signed=False),
    ir.DataType.INT2: IntType(2, signed=True),
    ir.DataType.UINT2: IntType(2, signed=False),
}
WIDE = (ir.DataType.INT16, ir.DataType.UINT16)


@dataclass(frozen=True)
class CodeClip:
    """A Clip of codes and its bounds, those of the type where it names none."""

    node: ir.Node
    ends: tuple[int, int]


def code_type(value: ir.Value) -> IntType | None:
    """The type of the codes in a tensor, or None."""
    return None if value.dtype is None else TYPES.get(value.dtype)


def clip_behind(node: ir.Node, own: IntType | None) -> CodeClip | None:
    """The Clip that alone reads the codes of a node, where its bounds are constants."""
    clip = sole_consumer(node.outputs[0])
    if clip is None or clip.op_type != "Clip" or own is None:
        return None
    ends = [own.qmin, own.qmax]
    for index, value in enumerate(clip.inputs[1:3]):
        array = const_array(value)
        if value is not None and array is None:
            return None
        ends[index] = ends[index] if array is None else int(array.reshape(-1)[0])
    return CodeClip(clip, (ends[0], ends[1]))


def type_within(own: IntType, low: int, high: int) -> IntType | None:
    """The integer type of that sign whose codes lie in [low, high]."""
    types = (IntType(bits, own.signed, narrow) for bits in range(2, 9) for narrow in (False, True))
    return next((found for found in types if (found.qmin, found.qmax) == (low, high)), None)


def same_step(one: QuantParams, other: QuantParams) -> bool:
    """Whether codes mean the same reals; one of them may have fewer bits or the other sign."""
    moved = with_sign(other, one.int_type.signed)
    return bool(one.scale == moved.scale and int(one.zero_point) == int(moved.zero_point))
