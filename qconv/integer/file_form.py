"""The form that an integer model has in its file: the same network, in fewer bytes.

1. Weights of few bits are packed (model/packed.py).
2. qconv.m0 and qconv.n are left out where they are what the scales of the inputs make (docs/arithmetic.md, 9), qconv.scale and
   qconv.zero_point where the node reads them; qconv.source is left out where it is the name of the node, and qconv.tensor is
   "=" where the output is named after it. A qconv.zero_point of 0 is left out. metadata.py reads them back.
3. One zero point serves all channels of a convolution. Long names of scales and zero points, and of weights and biases that are
   hardly longer, become short ones: a layer is found by its own name.
4. Attributes of windows that say what holds without them are left out: steps of 1, no padding, one group. Nodes that unpack
   have no names.
5. Types and shapes behind operators of the standard are left out: every reader infers them.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.language.operands import layout_of, weight_axis
from qconv.integer.metadata import shorten
from qconv.model import bit_planes
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.packed import packed
from qconv.model.traits import Trait, has_trait

_RANK = 3  # of the weight of a convolution, at least
_LONG = 12  # characters of a name that stays
_SHARE = 64  # of the bytes of a constant, that the characters of its name may be
_IDLE = {"strides": 1, "dilations": 1, "pads": 0, "group": 1, "channels_last": 0}  # what windows are without these attributes


def file_form(model: ir.Model, *, planes: bool = True) -> ir.Model:
    """A copy of an integer model as its file has it; without `planes` for runtimes that know no functions of a model."""
    copy = model.clone()
    _join_zero_points(copy.graph)
    copy = packed(copy, planes=planes)
    _shorten_names(copy.graph)
    for node in copy.graph:
        _leave_out_idle(node)
        for value in node.outputs if node.domain in ("", bit_planes.DOMAIN) else ():
            _forget(value)
    for node in copy.graph:
        shorten(node)
    for value in copy.graph.initializers.values():
        _forget(value)
    return copy


def names_in_file(model: ir.Model, form: ir.Model) -> dict[str, str]:
    """What the tensors that nodes read are called in the file form of a model, where that is another name."""
    nodes = {node.name: node for node in form.graph}
    pairs = ((node.inputs, nodes[node.name].inputs) for node in model.graph if node.name in nodes)
    both = (pair for inputs in pairs for pair in zip(*inputs, strict=False))
    return {str(a.name): str(b.name) for a, b in both if a is not None and b is not None and a.name != b.name}


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


def _leave_out_idle(node: ir.Node) -> None:
    for name, idle in _IDLE.items():
        found = node.attributes.get(name)
        numbers = () if found is None else found.as_ints() if found.type is ir.AttributeType.INTS else (found.as_int(),)
        if found is not None and all(number == idle for number in numbers):
            del node.attributes[name]


def _shorten_names(graph: ir.Graph) -> None:
    names = Names(graph)
    for node in graph:
        if _unpacks(node):
            node.name = None
    values = [value for value, size in _constants(graph).items() if len(str(value.name)) > max(_LONG, size // _SHARE)]
    for number, value in enumerate(values):
        held = graph.initializers.pop(str(value.name), None)
        value.name = names.fresh(f"c{number}")
        if held is not None:
            graph.register_initializer(value)


def _constants(graph: ir.Graph) -> dict[ir.Value, int]:
    """The constants that layers read and what these are unpacked from, with their bytes."""
    found: dict[ir.Value, int] = {}
    for node in graph:
        for value in node.inputs if _unpacks(node) or layout_of(node) is not None else ():
            if value is not None and value.const_value is not None and not value.is_graph_output() and not value.is_graph_input():
                found[value] = value.const_value.nbytes
        if _unpacks(node) and not node.outputs[0].is_graph_output():
            found[node.outputs[0]] = sum(found.get(value, 0) for value in node.inputs if value is not None)
    return found


def _unpacks(node: ir.Node) -> bool:
    """Whether a node makes a constant of constants."""
    unpacks = (node.domain == "" and has_trait(node, Trait.CASTS)) or node.domain == bit_planes.DOMAIN
    return unpacks and all(value is not None and value.is_initializer() for value in node.inputs)


def _forget(value: ir.Value) -> None:
    if not value.is_graph_output() and not value.is_graph_input():
        value.type, value.shape = None, None
        value.metadata_props.clear()
