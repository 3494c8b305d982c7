"""Products with a constant matrix as convolutions of one place whose channels come last.

    QGemm            y [R, N] = x [R, K] W [K, N] + b       between Reshapes, as it knows matrices only
    QLinearMatMul    y [.., N] = x [.., K] W [K, N]
    becomes          com.microsoft QLinearConv of x [B, R, K] as it is, with W' [N, K, 1]

The accumulators, the pairs in which a kernel adds them up and the rescaling are the same, and so is every code. It takes 0.5 to
0.9 of the time of QGemm and its Reshapes from 2 rows to 3,136. A convolution goes image by image: many images of few rows are
made one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.language.spec import MICROSOFT
from qconv.integer.metadata import Meaning
from qconv.model.graph import attr_int, const_array
from qconv.model.names import Names
from qconv.tuning.constants import new_constant
from qconv.tuning.rows import goes_to_reshapes, source_of_rows

_FEW = 32  # rows of an image: with fewer, images are joined
_MOST_AXES = 4
_WEIGHT, _BIAS = 3, 6
_Y_SCALE = {"QGemm": 7, "QLinearMatMul": 6}


def products_as_convolutions(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Writes products of rows as convolutions in place; the number of layers changed."""
    return sum(_rewrite(graph, node, names, meanings) for node in list(graph) if node.op_type in _Y_SCALE)


def _rewrite(graph: ir.Graph, node: ir.Node, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    of_rows, weight = node.op_type == "QGemm", const_array(node.inputs[_WEIGHT])
    if weight is None or weight.ndim != 2 or attr_int(node, "transA", 0) or (of_rows and not goes_to_reshapes(node.outputs[0])):
        return 0
    filters = weight if attr_int(node, "transB", 0) else weight.T
    x = source_of_rows(graph, names, node, node.outputs[0]) if of_rows else node.inputs[0]
    if x is None or x.shape is None or filters.shape[1] == 1 or _is_one_row(x.shape):
        return 0
    fits = 3 <= len(x.shape) <= _MOST_AXES and not _has_many_images(x.shape)
    if not fits and not of_rows:
        return 0
    _become_convolution(graph, node, x if fits else _one_image(graph, node, x, names), filters, names)
    if of_rows:
        meanings[node] = replace(meanings[node], tensors=(None,))  # of another shape than the matrix that it stood for
    return 1


def _is_one_row(shape: ir.Shape) -> bool:
    return math.prod(size if isinstance(size, int) else _FEW for size in shape[:-1]) == 1


def _has_many_images(shape: ir.Shape) -> bool:
    """Whether a tensor [B, .., K] has several images of few rows each; how many is often not known, and then it is one."""
    images, rows = shape[0], math.prod(size if isinstance(size, int) else _FEW for size in shape[1:-1])
    return images != 1 and rows < (_FEW if isinstance(images, int) else 2)


def _one_image(graph: ir.Graph, node: ir.Node, x: ir.Value, names: Names) -> ir.Value:
    """All rows of x as one image [1, R, K]."""
    assert x.shape is not None
    shape = new_constant(graph, names, f"{node.name}_image_shape", np.asarray([1, -1, x.shape[-1]], np.int64))
    image = ir.Value(name=names.fresh(f"{node.name}_image"), type=x.type, shape=ir.Shape([1, None, x.shape[-1]]))
    graph.insert_before(node, ir.Node("", "Reshape", [x, shape], outputs=[image], name=names.fresh_node(f"{node.name}/image")))
    return image


def _become_convolution(graph: ir.Graph, node: ir.Node, x: ir.Value, filters: NDArray[np.generic], names: Names) -> None:
    """Makes a convolution of x of the product, with its scales and zero points."""
    assert x.shape is not None
    places, start = [1] * (len(x.shape) - 2), _Y_SCALE[node.op_type]
    old = node.inputs[_WEIGHT]
    weight = new_constant(graph, names, f"{node.name}_filters", np.ascontiguousarray(filters).reshape(*filters.shape, *places))
    bias = [node.inputs[_BIAS]] if node.op_type == "QGemm" and node.inputs[_BIAS] is not None else []
    inputs = [x, *node.inputs[1:3], weight, *node.inputs[4:6], *node.inputs[start : start + 2], *bias]
    node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        node.replace_input_with(index, value)
    node.op_type, node.domain = "QLinearConv", MICROSOFT
    node.attributes.clear()
    node.attributes["channels_last"] = ir.AttrInt64("channels_last", 1)
    node.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", places)
    node.outputs[0].shape = ir.Shape([*x.shape[:-1], len(filters)])
    if old is not None and not old.uses() and old.name in graph.initializers:
        del graph.initializers[str(old.name)]
