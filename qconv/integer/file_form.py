"""The form that an integer model has in its file: the same network, in fewer bytes.

1. Weights of few bits are packed (model/packed.py).
2. qconv.m0 is "=" where a list of multipliers is what the scales of the inputs make (docs/arithmetic.md, 9), and qconv.n is
   left out; qconv.source is left out where it is the name of the node, and qconv.tensor is "=" where the output is named
   after it. A qconv.zero_point of 0 is left out. metadata.py reads them back.
3. One zero point serves all channels of a convolution. Long names of scales, zero points and packed weights, which nobody
   looks for, become short ones.
4. Types and shapes behind operators of the standard are left out: every reader infers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from qconv.integer.language.operands import layout_of, weight_axis
from qconv.integer.metadata import shorten
from qconv.model import bit_planes
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.packed import packed
from qconv.model.traits import Trait, has_trait

_RANK = 3  # of the weight of a convolution, at least
_LONG = 20  # characters of a name that stays


def file_form(model: ir.Model, *, planes: bool = True) -> ir.Model:
    """A copy of an integer model as its file has it; without `planes` for runtimes that know no functions of a model."""
    copy = model.clone()
    _join_zero_points(copy.graph)
    copy = packed(copy, planes=planes)
    for node in copy.graph:
        shorten(node)
    _shorten_names(copy.graph)
    for node in copy.graph:
        for value in node.outputs if node.domain in ("", bit_planes.DOMAIN) else ():
            _forget(value)
    for value in copy.graph.initializers.values():
        _forget(value)
    return copy


def _join_zero_points(graph: ir.Graph) -> None:
    """Gives a convolution one zero point for all channels of its weight; each node has its own, as onnxruntime wants it."""
    for node in graph:
        layout = layout_of(node)
        weight = None if layout is None or weight_axis(node) != 0 else node.inputs[layout.reads[1].tensor or 0]
        if layout is None or weight is None or weight.shape is None or len(weight.shape) < _RANK:
            continue
        value = node.inputs[layout.reads[1].zero_point]
        array = None if value is None or len(value.uses()) != 1 else const_array(value)
        if value is not None and array is not None and array.ndim == 1 and (array == array[0]).all():
            value.const_value = ir.tensor(array[0].reshape(()), name=value.name)
            value.shape = ir.Shape([])


def _shorten_names(graph: ir.Graph) -> None:
    names = Names(graph)
    for number, node in enumerate(node for node in graph if _parameters(node) and layout_of(node) is None):
        node.name = names.fresh_node(f"u{number}")
    values = [value for value in dict.fromkeys(_constants(graph)) if len(str(value.name)) > _LONG]
    for number, value in enumerate(values):
        del graph.initializers[str(value.name)]
        value.name = names.fresh(f"c{number}")
        graph.register_initializer(value)


def _constants(graph: ir.Graph) -> Iterator[ir.Value]:
    """Scales and zero points, and what weights are unpacked from."""
    for node in graph:
        for index in _parameters(node):
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and value.is_initializer() and not value.is_graph_output() and not value.is_graph_input():
                yield value


def _parameters(node: ir.Node) -> Sequence[int]:
    layout = layout_of(node)
    if layout is not None:
        triples = (*layout.reads, layout.writes)
        return [index for triple in triples for index in (triple.scale, triple.zero_point)]
    unpacks = (node.domain == "" and has_trait(node, Trait.CASTS)) or node.domain == bit_planes.DOMAIN
    constant = all(value is not None and value.is_initializer() for value in node.inputs)
    return range(len(node.inputs)) if unpacks and constant else ()


def _forget(value: ir.Value) -> None:
    if not value.is_graph_output() and not value.is_graph_input():
        value.type, value.shape = None, None
        value.metadata_props.clear()
