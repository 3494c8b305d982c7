"""Let a network take raw pixels: their normalisation becomes a part of it, and of its first layer where that sees no padding.

    x = a p + b,    W x + c = (W a) p + (W b + c)

The zeros around a padded picture stand for x = 0, which is no pixel unless b = 0. There the normalisation stays a layer of its
own, a convolution of 1 x 1 by channel.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.errors import UsageError
from qconv.model.edit import Editor
from qconv.model.graph import is_float
from qconv.quant.pixels import Pixels

from . import prepare

NORMALISED = "normalised"


def picture_input(graph: ir.Graph) -> ir.Value:
    """The one input that is a picture. Raises UsageError where there is none, or more inputs."""
    if len(graph.inputs) != 1 or not is_float(value := graph.inputs[0]) or value.shape is None or len(value.shape) != 4:
        raise UsageError("raw pixels are for a network with one float input of 4 dimensions; leave out --mean, --std and --scale")
    return value


def take_pixels(model: ir.Model, pixels: Pixels) -> str:
    """Puts the normalisation in front of a prepared network, in place; returns the name of what it gives.

    That tensor may be gone afterwards. The input keeps its name and holds pixels, as reals.
    """
    graph = model.graph
    value, editor = picture_input(graph), Editor(graph)
    constants = [
        editor.constant(f"{value.name}/{word}", array) for word, array in (("scale", pixels.factor), ("shift", pixels.shift))
    ]
    scaled = ir.node("Mul", [value, constants[0]], name=f"{value.name}/scaled")
    shifted = ir.node("Add", [scaled.outputs[0], constants[1]], name=f"{value.name}/{NORMALISED}")
    readers = [(use.node, use.idx) for use in value.uses() if use.node is not scaled]
    for node in (scaled, shifted):
        node.outputs[0].name, node.outputs[0].shape = str(node.name), value.shape
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    for reader, index in readers:
        reader.replace_input_with(index, shifted.outputs[0])
    for node in (shifted, scaled):
        first = next(iter(graph), None)
        graph.append(node) if first is None else graph.insert_before(first, node)
    prepare(model)
    return f"{value.name}/{NORMALISED}"
