"""A network whose tensors end where their given codes end, to calibrate those that have none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.names import Names
from qconv.quant.pins import Pins
from qconv.ranges.search.fake_quant import put_behind


def within_pins(model: ir.Model, pins: Pins) -> ir.Model:
    """A copy with a Clip behind each tensor that a node makes and that has codes; the model itself where there are none.

    Without it, a Relu that only the codes say would be missing, and what lies behind would be as wide as the float graph.
    """
    if not pins.activations:
        return model
    copy = model.clone()
    graph, names = copy.graph, Names(copy.graph)
    whole = {str(node.name) for node in graph}
    for value in [value for node in graph for value in node.outputs]:
        params = pins.activations.get(str(value.name))
        if params is None or params.axis is not None or value.dtype != ir.DataType.FLOAT:
            continue
        bounds = [ir.Value(name=names.fresh("bound"), const_value=ir.tensor(np.float32(end))) for end in params.ends]
        for bound in bounds:
            graph.register_initializer(bound)
        clip = ir.node("Clip", [value, *bounds], name=names.fresh_node("clip"))
        clip.outputs[0].name = names.fresh("clipped")
        put_behind(graph, value, [clip], whole)
    return copy
