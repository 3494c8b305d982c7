"""Scales, zero points, bounds and weights that a quantized graph computes from constants, as constants."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.evaluate import run_float_node
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait

_WIDER = {
    ir.DataType.UINT8: (ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT16, ir.DataType.UINT32),
    ir.DataType.INT8: (ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
}


def fold_parameters(model: ir.Model) -> int:
    """Replaces what operators on codes read, and what depends on constants alone; returns the number of constants made."""
    editor, count = Editor(model.graph), 0
    for node in tuple(model.graph):
        clips_codes = node.op_type == "Clip" and node.outputs[0].dtype in _WIDER
        if not (has_trait(node, Trait.ON_CODES) or clips_codes):
            continue
        for index, value in enumerate(node.inputs):
            maker = None if value is None else value.producer()
            if value is None or maker is None or const_array(value) is not None or has_trait(maker, Trait.ON_CODES):
                continue
            array = _computed(value, {})
            if array is not None:
                node.replace_input_with(index, editor.constant(f"{value.name}/folded", array))
                count += 1
    return count + _drop_casts(editor) + _write_zero_points(editor)


def _computed(value: ir.Value, known: dict[ir.Value, NDArray[np.generic] | None]) -> NDArray[np.generic] | None:
    """The value, or None where it depends on an input of the graph."""
    if value not in known:
        array, maker = const_array(value), value.producer()
        if array is None and maker is not None and not _has_inner_graph(maker):
            inputs = [None if x is None else _computed(x, known) for x in maker.inputs]
            if all(x is None or found is not None for x, found in zip(maker.inputs, inputs, strict=True)) and maker.inputs:
                array = run_float_node(maker, inputs)[list(maker.outputs).index(value)]
        known[value] = array
    return known[value]


def _has_inner_graph(node: ir.Node) -> bool:
    """Whether a node may read more than its inputs."""
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _drop_casts(editor: Editor) -> int:
    """Takes out each Cast of codes to a wider integer type that a DequantizeLinear reads: the reals are the same."""
    count = 0
    for node in tuple(editor.graph):
        x, wide = (node.inputs[0] if node.inputs else None), node.outputs[0]
        maker = None if x is None else x.producer()
        if node.op_type != "Cast" or x is None or maker is None or not has_trait(maker, Trait.QUANTIZES) or x.dtype is None:
            continue
        readers = list(wide.consumers())
        if wide.dtype in _WIDER.get(x.dtype, ()) and readers and all(has_trait(reader, Trait.DEQUANTIZES) for reader in readers):
            for reader in readers:
                _retype_zero_point(editor, reader, x.dtype)
            wide.replace_all_uses_with(x)
            editor.graph.remove(node, safe=True)
            count += 1
    return count


def _write_zero_points(editor: Editor) -> int:
    """Gives each DequantizeLinear a zero point, whose type tells that of the codes also when they are gone."""
    dequantizers = [node for node in editor.graph if has_trait(node, Trait.DEQUANTIZES)]
    lacking = [node for node in dequantizers if len(node.inputs) < 3 or node.inputs[2] is None]
    for node in lacking:
        codes, scale = node.inputs[0], const_array(node.inputs[1])
        if codes is None or codes.dtype is None or scale is None or codes.dtype == ir.DataType.INT32:
            continue
        zero = np.zeros(scale.shape, codes.dtype.numpy())
        inputs = [*node.inputs[:2], editor.constant(f"{node.name}/zero_point", zero)]
        editor.rewrite(node, node.op_type, inputs, dict(_plain(node)))
    return len(lacking)


def _plain(node: ir.Node) -> Iterator[tuple[str, int]]:
    return ((a.name, a.as_int()) for a in node.attributes.values() if a.type == ir.AttributeType.INT)


def _retype_zero_point(editor: Editor, reader: ir.Node, dtype: ir.DataType) -> None:
    zero = const_array(reader.inputs[2]) if len(reader.inputs) > 2 else None
    if zero is not None:
        reader.replace_input_with(2, editor.constant(f"{reader.name}/zero_point", zero.astype(dtype.numpy())))
