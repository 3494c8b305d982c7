"""Shapes that a model declares for its own tensors: believed where inference finds less, until a run contradicts them.

onnxruntime runs a model whose declarations are wrong behind an op of unknown shape, such as Compress or Loop.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir

Shapes = Mapping[str, ir.Shape]


def forget_declared(graph: onnx.GraphProto) -> Shapes:
    """Takes away, in place, the shapes that tensors made by nodes declare, and returns them by name.

    Sizes below zero, which some exporters write for unknown ones, are taken away everywhere.
    """
    for info in (*graph.input, *graph.value_info, *graph.output):
        for dim in info.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value < 0:
                dim.ClearField("dim_value")
    shapes, made = {}, {name for node in graph.node for name in node.output}
    for info in (*graph.value_info, *graph.output):
        if info.name in made and info.type.tensor_type.HasField("shape"):
            dims = info.type.tensor_type.shape.dim
            sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims]
            shapes[info.name] = ir.Shape(sizes)
            info.type.tensor_type.ClearField("shape")
    return shapes


def believe(graph: ir.Graph, declared: Shapes) -> Shapes:
    """Gives tensors what they declare as far as inference does not contradict it; the shapes that a run has yet to bear out."""
    doubtful = {}
    for value in (value for node in graph for value in node.outputs):
        inferred, said = value.shape, declared.get(str(value.name))
        value.shape = _believed(inferred, said)
        if value.shape is not None and _sizes(value.shape) != _sizes(inferred):
            doubtful[str(value.name)] = value.shape
    return doubtful


def contradicts(shape: ir.Shape, found: tuple[int, ...]) -> bool:
    """Whether a tensor of sizes `found` is none of a declared shape.

    A Squeeze without axes leaves out what has one element in a sample, so that axes of free size may be missing.
    """
    met = {0}  # how many of `found` the sizes so far may stand for
    for size in _sizes(shape) or []:
        taken = {count + 1 for count in met if count < len(found) and size in (None, found[count])}
        met = taken | met if size in (None, 1) else taken
    return len(found) not in met


def _sizes(shape: ir.Shape | None) -> list[int | None] | None:
    """The sizes of a shape that are numbers."""
    return None if shape is None else [size if isinstance(size, int) else None for size in shape]


def _believed(inferred: ir.Shape | None, declared: ir.Shape | None) -> ir.Shape | None:
    if inferred is None or declared is None:
        return inferred or declared
    if len(inferred) != len(declared):
        return inferred
    pairs = list(zip(inferred, declared, strict=True))
    if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
        return inferred
    return ir.Shape([a if isinstance(a, int) else b for a, b in pairs])
