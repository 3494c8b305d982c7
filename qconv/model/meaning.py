"""What the version converter of onnx leaves to its caller: changes of meaning, and newer versions that only add types.

1. Hardmax before opset 13 looks at all axes from its own on as one row: Flatten, Hardmax and Reshape say so.
2. Upsample and Resize before opset 11 map a coordinate by its scale alone, and take the element below it where they enlarge and
   the one above it where they shrink.
3. ImageScaler, of an early onnx, is a product and a sum per channel.
4. Where every node has the same attributes, inputs and outputs at both opsets, the newer one only adds types.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from qconv.model.graph import attr_float, attr_int, attr_str, const_array

Sampling = Sequence[str]


def prepare_for_conversion(model: ir.Model, opset: int) -> Sampling:
    """Writes out rules 1 and 3 in place, and notes for rule 2 the mode of the nearest element, node by node."""
    nodes = [node for node in model.graph.all_nodes() if node.domain in ("", "ai.onnx")]
    for node in [node for node in nodes if node.op_type == "ImageScaler"]:
        _write_scaler(node)
    if opset < 13:
        for node in [node for node in nodes if node.op_type == "Hardmax"]:
            _flatten_hardmax(node)
    if opset >= 11:
        return ()
    return [_nearest(node) for node in nodes if node.op_type in ("Resize", "Upsample")]


def keep_sampling(model: ir.Model, sampling: Sampling) -> None:
    """Writes rule 2 into the converted nodes, in place; they have new names, and the order of the old ones."""
    resizes = [node for node in model.graph.all_nodes() if node.op_type == "Resize" and not node.domain]
    for node, nearest in zip(resizes, sampling, strict=False):
        node.attributes["coordinate_transformation_mode"] = ir.AttrString("coordinate_transformation_mode", "asymmetric")
        if attr_str(node, "mode", "nearest") == "nearest":
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", nearest)


def signatures_are_alike(model: ir.Model, opset: int, other: int) -> bool:
    """Whether every standard node of a model means the same at both opsets, as far as the schemas of its ops tell."""
    return all(_is_alike(node, opset, other) for node in model.graph.all_nodes() if node.domain in ("", "ai.onnx"))


def _is_alike(node: ir.Node, opset: int, other: int) -> bool:
    """Attributes that a node has exist at the other opset, and those that it leaves out have the same defaults there."""
    try:
        schemas = [onnx.defs.get_schema(node.op_type, version) for version in (opset, other)]
    except onnx.defs.SchemaError:
        return False
    here, there = (schema.attributes for schema in schemas)
    defaults = [
        (here[name].default_value, there[name].default_value) for name in here.keys() & there.keys() - set(node.attributes)
    ]
    fits = len(node.inputs) <= schemas[1].max_input and len(node.outputs) <= schemas[1].max_output
    return fits and set(node.attributes) <= set(there) and all(a == b for a, b in defaults)


def _flatten_hardmax(node: ir.Node) -> None:
    value, output = node.inputs[0], node.outputs[0]
    assert node.graph is not None and value is not None
    shape = ir.node("Shape", [value])
    flat = ir.node("Flatten", [value], {"axis": attr_int(node, "axis", 1)})
    hard = ir.node("Hardmax", [flat.outputs[0]], {"axis": 1})
    back = ir.node("Reshape", [hard.outputs[0], shape.outputs[0]], name=node.name)
    for number, new in enumerate((shape, flat, hard)):
        new.name, new.outputs[0].name = f"{node.name}/row{number}", f"{output.name}/row{number}"
    node.graph.insert_before(node, [shape, flat, hard, back])
    output.replace_all_uses_with(back.outputs[0], replace_graph_outputs=True)
    back.outputs[0].name, back.outputs[0].type, back.outputs[0].shape = output.name, output.type, output.shape
    node.graph.remove(node, safe=True)


def _write_scaler(node: ir.Node) -> None:
    value, output, graph = node.inputs[0], node.outputs[0], node.graph
    bias = node.attributes.get("bias")
    assert graph is not None and value is not None
    shifts = np.asarray([] if bias is None else list(bias.as_floats()), np.float32).reshape(1, -1, 1, 1)
    arrays = {"scale": np.asarray(attr_float(node, "scale", 1.0), np.float32), "bias": shifts}
    constants = [ir.node("Constant", [], {"value": ir.tensor(array)}) for array in arrays.values()]
    product = ir.node("Mul", [value, constants[0].outputs[0]])
    total = ir.node("Add", [product.outputs[0], constants[1].outputs[0]], name=node.name)
    for number, new in enumerate((*constants, product)):
        new.name, new.outputs[0].name = f"{node.name}/scaler{number}", f"{output.name}/scaler{number}"
    graph.insert_before(node, [*constants, product, total])
    output.replace_all_uses_with(total.outputs[0], replace_graph_outputs=True)
    total.outputs[0].name, total.outputs[0].type, total.outputs[0].shape = output.name, output.type, output.shape
    graph.remove(node, safe=True)


def _nearest(node: ir.Node) -> str:
    scales = const_array(node.inputs[1]) if len(node.inputs) > 1 else None
    given = node.attributes.get("scales")
    factors = list(given.as_floats()) if given is not None else [] if scales is None else [float(s) for s in scales]
    return "ceil" if any(factor < 1.0 for factor in factors) else "floor"
