"""Scales for each channel at the borders: a float product beside a QuantizeLinear or DequantizeLinear goes into its scales.

x -> Mul 1/k -> QuantizeLinear S     becomes     x -> QuantizeLinear k S
DequantizeLinear S -> Mul k -> y     becomes     DequantizeLinear k S -> y
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.metadata import Meaning
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.traits import Trait, has_trait

_SCALE, _ZERO_POINT = 1, 2


def fold_border_scales(graph: ir.Graph, names: Names, products: Collection[str], meanings: dict[ir.Node, Meaning]) -> int:
    """Folds the products of these names, in place, and tells what the codes mean then; the number folded."""
    found = [node for node in graph if node.name in products]
    for product in found:
        maker = product.inputs[0].producer() if product.inputs[0] is not None else None
        if maker is not None and has_trait(maker, Trait.DEQUANTIZES):
            _fold_output(graph, names, product, maker, meanings)
        else:
            _fold_input(graph, names, product, meanings)
    return len(found)


def _fold_input(graph: ir.Graph, names: Names, product: ir.Node, meanings: dict[ir.Node, Meaning]) -> None:
    value, inner = product.inputs[0], product.outputs[0]
    factors = const_array(product.inputs[1])
    assert value is not None and factors is not None
    for use in tuple(inner.uses()):
        use.node.replace_input_with(use.idx, value)
        if has_trait(use.node, Trait.QUANTIZES):
            _scale_by(graph, names, use.node, np.asarray(1.0 / factors.astype(np.float64), np.float32))
    _rename(meanings, {str(inner.name): str(value.name)})
    graph.remove(product, safe=True)


def _fold_output(graph: ir.Graph, names: Names, product: ir.Node, maker: ir.Node, meanings: dict[ir.Node, Meaning]) -> None:
    inner, outer = maker.outputs[0], product.outputs[0]
    factors = const_array(product.inputs[1])
    assert factors is not None
    inner_name, outer_name = str(inner.name), str(outer.name)
    _scale_by(graph, names, maker, factors)
    graph.outputs[:] = [inner if output is outer else output for output in graph.outputs]
    graph.remove(product, safe=True)
    inner.name = outer_name
    _rename(meanings, {inner_name: outer_name})


def _scale_by(graph: ir.Graph, names: Names, node: ir.Node, factors: NDArray[np.floating]) -> None:
    """Gives a node a scale for each channel."""
    axis = int(np.argmax(factors.shape))
    scale, zero_point = const_array(node.inputs[_SCALE]), const_array(node.inputs[_ZERO_POINT])
    assert scale is not None and zero_point is not None
    scales = np.asarray(scale * factors.reshape(-1), np.float32)
    for index, array in ((_SCALE, scales), (_ZERO_POINT, np.broadcast_to(zero_point, scales.shape).copy())):
        present = node.inputs[index]
        name = names.fresh(f"{'' if present is None else present.name}_by_channel")
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        graph.register_initializer(value)
        node.replace_input_with(index, value)
    node.attributes["axis"] = ir.AttrInt64("axis", axis)


def _rename(meanings: dict[ir.Node, Meaning], names: Mapping[str, str]) -> None:
    """Lets codes stand for tensors of other names."""
    for node, meaning in list(meanings.items()):
        tensors = tuple(None if tensor is None else names.get(tensor, tensor) for tensor in meaning.tensors)
        if tensors != meaning.tensors:
            meanings[node] = replace(meaning, tensors=tensors)
