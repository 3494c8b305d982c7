"""Writes an integer graph anew in operators of ai.onnx, one node after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx_ir as ir

from qconv.integer.language.multipliers import multipliers_of
from qconv.integer.language.operands import layout_of
from qconv.integer.metadata import Meaning
from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.standard.binary import write_product, write_sum
from qconv.lower.standard.convolutions import write_convolution
from qconv.lower.standard.matrices import write_matrix_product
from qconv.lower.standard.operands import has_scale_by_channel
from qconv.lower.standard.pools import write_average, write_global_average
from qconv.lower.standard.softmax import write_softmax
from qconv.lower.standard.tables import write_concat, write_look_up, write_table
from qconv.model.graph import const_array
from qconv.quant.certify import Certificate

Form = Callable[[ir.Node, Context], ir.Value]  # the codes of the node's output, by nodes in front of it

_FORMS: Mapping[tuple[str, str], Form] = {
    (MS, "QGemm"): write_matrix_product,
    (MS, "QLinearAdd"): write_sum,
    (MS, "QLinearAveragePool"): write_average,
    (MS, "QLinearConcat"): write_concat,
    (MS, "QLinearGlobalAveragePool"): write_global_average,
    (MS, "QLinearLeakyRelu"): write_table,
    (MS, "QLinearMul"): write_product,
    (MS, "QLinearSigmoid"): write_table,
    (MS, "QLinearSoftmax"): write_softmax,
}
_BY_CHANNEL: Mapping[str, Form] = {"QLinearConv": write_convolution, "QLinearMatMul": write_matrix_product}


def write_standard(ctx: Context) -> int:
    """Replaces, in place, the nodes that only onnxruntime has, and those that others read otherwise; how many there were."""
    found = [(node, form) for node in ctx.graph if (form := _form_of(node)) is not None]
    for node, form in found:
        ctx.begin(node)
        ctx.names.release_node(str(node.name))
        _put(ctx, node, form(node, ctx))
    return len(found)


def _form_of(node: ir.Node) -> Form | None:
    if node.op_type in _BY_CHANNEL:
        return _BY_CHANNEL[node.op_type] if has_scale_by_channel(node) else None
    if node.op_type == "GatherElements":
        table = const_array(node.inputs[0])
        return write_look_up if table is not None and table.ndim == 1 else None
    return _FORMS.get((node.domain, node.op_type))


def _put(ctx: Context, node: ir.Node, value: ir.Value) -> None:
    """Lets `value` stand for what a node gave, under its name and with its meaning."""
    output, maker, meaning = node.outputs[0], value.producer(), ctx.meanings.pop(node, None)
    name = str(output.name)
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    output.name, value.name = f"{name}_replaced", name
    if maker is not None and meaning is not None:
        ctx.meanings[maker] = _meaning(maker, meaning)
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)
    ctx.graph.remove(node)


def _meaning(maker: ir.Node, meaning: Meaning) -> Meaning:
    """The meaning of a node, for the last one of its form: a table or a layer is as proved, the rest is plain arithmetic."""
    if maker.op_type == "Gather":
        return meaning
    if layout_of(maker) is not None:
        return replace(meaning, multipliers=tuple(multipliers_of(maker)))
    limits = meaning.params.int_type if meaning.params is not None else None
    certificate = None if limits is None else Certificate.of_equal_codes(limits.qmin, limits.qmax)
    return replace(meaning, multipliers=(), certificate=certificate)
