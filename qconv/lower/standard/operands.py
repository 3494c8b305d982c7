"""What a quantized operator of the integer graph reads and writes, as codes with their parameters."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.language.operands import Triple, layout_of
from qconv.lower.values import Codes
from qconv.model.graph import const_array
from qconv.quant.types import INT8, UINT8, QuantParams


def reads_of(node: ir.Node) -> list[Codes]:
    """The operands, each with the scale and the zero point that the node has for it; a scale by channel lies along axis 0."""
    layout = layout_of(node)
    assert layout is not None
    found = []
    for triple in layout.reads:
        assert triple.tensor is not None
        value = node.inputs[triple.tensor]
        assert value is not None
        found.append(Codes(value, _params(node, triple)))
    return found


def written_by(node: ir.Node) -> QuantParams:
    """The parameters of the output."""
    layout = layout_of(node)
    assert layout is not None
    return _params(node, layout.writes)


def has_scale_by_channel(node: ir.Node) -> bool:
    """Whether an operand of a quantized operator has more than one scale."""
    return layout_of(node) is not None and any(codes.params.axis is not None for codes in reads_of(node))


def _params(node: ir.Node, triple: Triple) -> QuantParams:
    scale, zero_point = const_array(node.inputs[triple.scale]), const_array(node.inputs[triple.zero_point])
    assert scale is not None and zero_point is not None
    int_type = INT8 if zero_point.dtype == np.int8 else UINT8
    if scale.size == 1:
        return QuantParams(scale.reshape(()), zero_point.reshape(()), int_type)
    return QuantParams(scale, zero_point, int_type, 0)
