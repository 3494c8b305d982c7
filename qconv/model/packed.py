"""Weights of few bits take few bits in a file, and onnxruntime makes int8 of them on loading.

INT4 and a Cast where codes lie in [-8, 7]; bit planes (bit_planes.py) where they take at most 64 values and that is smaller.
Biases that fit are INT16 and a Cast.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model import bit_planes
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.traits import Trait, has_trait

_LEAST_BYTES = 256  # of a weight for which a Cast of its own pays
_LEAST_BIASES = 64
_LIMITS = (-8, 7)
_PACKED = {ir.DataType.INT4: ir.DataType.INT8, ir.DataType.INT16: ir.DataType.INT32}
CAST_BYTES = 32  # of a Cast in a file
_MOST_ELEMENTS = 1 << 24  # of a weight that bit planes are made of: onnxruntime takes some 30 bytes for each while it loads


def packed(model: ir.Model, *, planes: bool = True) -> ir.Model:
    """The model itself, or a copy in which all constants that can be are packed; bit planes only with `planes`."""
    names = [str(value.name) for value in model.graph.initializers.values() if _is_candidate(value)]
    in_planes = {name: saved for name in names if (saved := _saved_by_planes(model.graph.initializers[name])) > 0}
    if not planes or sum(in_planes.values()) <= bit_planes.BYTES_OF_FUNCTION:
        in_planes = {}
    as_int4 = [name for name in names if name not in in_planes and _fits(model.graph.initializers[name])]
    biases = [str(value.name) for value in model.graph.initializers.values() if _is_small_bias(value)]
    if not in_planes and not as_int4 and not biases:
        return model
    copy = model.clone()
    known = Names(copy.graph)
    for kind, chosen in ((ir.DataType.INT4, as_int4), (ir.DataType.INT16, biases)):
        for name in chosen:
            _pack(copy.graph, copy.graph.initializers[name], kind, known)
    for name in in_planes:
        _pack_planes(copy.graph, copy.graph.initializers[name], known)
    if in_planes:
        function = ir.serde.deserialize_function(bit_planes.function())
        copy.functions[function.identifier()] = function
        copy.opset_imports[bit_planes.DOMAIN] = 1
    return copy


def unpack(model: ir.Model) -> int:
    """Folds, in place, each Cast of a constant that `packed` may have put there; the number folded."""
    casts = [(node, kind) for node in model.graph if (kind := _unpacks(node)) is not None]
    for node, kind in casts:
        source, output = node.inputs[0], node.outputs[0]
        array = const_array(source)
        assert source is not None and array is not None
        name = str(output.name)
        value = ir.Value(name=name, const_value=ir.tensor(array.astype(kind.numpy()), name=name))
        value.type, value.shape = ir.TensorType(kind), ir.Shape(array.shape)
        output.replace_all_uses_with(value)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(value)
        if not source.uses():
            del model.graph.initializers[str(source.name)]
    return len(casts)


def _is_candidate(value: ir.Value) -> bool:
    if value.const_value is None or value.const_value.dtype != ir.DataType.INT8 or value.is_graph_output():
        return False
    return value.const_value.nbytes >= _LEAST_BYTES


def _fits(value: ir.Value) -> bool:
    array = const_array(value)
    return array is not None and bool(array.min() >= _LIMITS[0] and array.max() <= _LIMITS[1])


def _saved_by_planes(value: ir.Value) -> int:
    """How many bytes bit planes take less than int8, or INT4 where codes fit."""
    array = const_array(value)
    assert array is not None
    bits = bit_planes.bits_for(array) if array.size <= _MOST_ELEMENTS else 8
    if bits > bit_planes.MOST_BITS:
        return 0
    other = array.size // 2 + CAST_BYTES if _fits(value) else array.size
    return int(other - -(-array.size // 8) * bits - (1 << bits) - bit_planes.BYTES_OF_NODE)


def _is_small_bias(value: ir.Value) -> bool:
    """Whether an int32 constant of one axis fits in int16, and is long enough for a Cast of its own to pay."""
    if value.const_value is None or value.const_value.dtype != ir.DataType.INT32 or value.is_graph_output():
        return False
    array = const_array(value)
    return array is not None and array.ndim == 1 and array.size >= _LEAST_BIASES and int(np.abs(array).max()) < 1 << 15


def _pack(graph: ir.Graph, value: ir.Value, kind: ir.DataType, names: Names) -> None:
    array = const_array(value)
    assert array is not None
    wish = f"{value.name}_{kind.name.lower()}"
    tensor = ir.tensor(array.astype(kind.numpy()), dtype=kind, name=names.fresh(wish))
    to = ir.AttrInt64("to", int(_PACKED[kind]))
    _put_maker(graph, value, "Cast", [_constant(graph, tensor)], [to], names.fresh_node(wish))


def _pack_planes(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    array = const_array(value)
    assert array is not None
    wish = f"{value.name}_bits"
    parts = zip((wish, f"{value.name}_levels"), bit_planes.planes_of(array), strict=True)
    inputs = [_constant(graph, ir.tensor(part, name=names.fresh(name))) for name, part in parts]
    shape = f"shape_{'x'.join(map(str, array.shape))}"
    known = graph.initializers.get(shape)
    if known is None:
        known = _constant(graph, ir.tensor(np.asarray(array.shape, np.int64), name=names.fresh(shape)))
    _put_maker(graph, value, bit_planes.NAME, [*inputs, known], [], names.fresh_node(wish), bit_planes.DOMAIN)


def _constant(graph: ir.Graph, tensor: ir.TensorProtocol) -> ir.Value:
    shape = ir.Shape(tensor.numpy().shape)
    value = ir.Value(name=tensor.name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=shape)
    graph.register_initializer(value)
    return value


def _put_maker(
    graph: ir.Graph, value: ir.Value, op_type: str, inputs: list[ir.Value], attributes: list[ir.Attr], name: str, domain: str = ""
) -> None:
    """Lets a node make a constant, in its place and under its name."""
    readers = [(use.node, use.idx) for use in value.uses()]
    whole = ir.Value(name=value.name, type=value.type, shape=value.shape)
    del graph.initializers[str(value.name)]
    graph.insert_before(graph[0], ir.Node(domain, op_type, inputs, attributes, outputs=[whole], name=name))
    for node, index in readers:
        node.replace_input_with(index, whole)


def _unpacks(node: ir.Node) -> ir.DataType | None:
    """The type that a Cast gives back to a packed constant; None for other nodes."""
    source, output = (node.inputs[0] if node.inputs else None), node.outputs[0]
    if not has_trait(node, Trait.CASTS) or source is None or output.is_graph_output() or not source.is_initializer():
        return None
    kind = _PACKED.get(source.const_value.dtype) if source.const_value is not None else None
    return kind if kind is not None and node.attributes.get_int("to", 0) == kind else None
