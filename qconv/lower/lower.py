"""`lower`: the only place where float ops become integer ops. One rule per op family, chosen by op type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from qconv.config import Io
from qconv.integer.language.spec import check
from qconv.integer.metadata import Meaning
from qconv.integer.program import Program
from qconv.integer.saturation import saturating_steps
from qconv.integer.standard import foreign_to_others
from qconv.lower.activation import (
    lower_clamp,
    lower_hard_sigmoid,
    lower_hard_swish,
    lower_leaky_relu,
    lower_sigmoid,
    lower_softmax,
)
from qconv.lower.arithmetic import lower_add, lower_mul, lower_sub
from qconv.lower.borders import (
    connect_float_readers,
    float_reads,
    integer_inputs,
    lower_first_dequantizer,
    lower_last_quantizer,
    wide_inputs,
)
from qconv.lower.builder import MS
from qconv.lower.comparisons import lower_comparison
from qconv.lower.concat import lower_concat
from qconv.lower.context import Context
from qconv.lower.conv import lower_average_pool, lower_conv
from qconv.lower.conv_transpose import lower_conv_transpose
from qconv.lower.extremes import lower_choice
from qconv.lower.in_domain import keep_in_domain
from qconv.lower.keep_float import keep_float_layers
from qconv.lower.lookup import lower_table, lower_test, lower_two_table
from qconv.lower.matmul import lower_gemm, lower_matmul
from qconv.lower.movement import (
    lower_global_average_pool,
    lower_global_max_pool,
    lower_host,
    lower_max_pool,
    lower_pad,
    lower_same,
    lower_top_k,
)
from qconv.lower.normalization import lower_norm
from qconv.lower.recurrent import lower_recurrent
from qconv.lower.reductions import lower_cast, lower_quotient, lower_reduction
from qconv.lower.selections import lower_scatter
from qconv.lower.standard import write_standard
from qconv.model.spell_norms import spell_norms
from qconv.ops.op_table import rule_of
from qconv.ops.scale_rules import NoFloat, Same, ScaleRule
from qconv.plan.quant_plan import QuantPlan, border_nodes
from qconv.plan.remark import Remark
from qconv.plan.shared_scales import integer_nodes
from qconv.quant.grids import Grid
from qconv.quant.types import QuantParams
from qconv.targets import TARGETS, Rules, Target
from qconv.tuning import TUNING_PASSES
from qconv.tuning.fold_border_scales import fold_border_scales
from qconv.tuning.share_constants import share_constants
from qconv.tuning.widen_channels import pad_inputs

Rule = Callable[[ir.Node, Context], None]

_RULES: dict[str, Rule] = {
    "Add": lower_add,
    "AveragePool": lower_average_pool,
    "Cast": lower_cast,
    "Clip": lower_clamp,
    "Concat": lower_concat,
    "Conv": lower_conv,
    "ConvTranspose": lower_conv_transpose,
    "DequantizeLinear": lower_first_dequantizer,
    "Div": lower_quotient,
    "Equal": lower_comparison,
    "Gemm": lower_gemm,
    "GlobalAveragePool": lower_global_average_pool,
    "GlobalMaxPool": lower_global_max_pool,
    "GRU": lower_recurrent,
    "Greater": lower_comparison,
    "GreaterOrEqual": lower_comparison,
    "HardSigmoid": lower_hard_sigmoid,
    "HardSwish": lower_hard_swish,
    "IsInf": lower_test,
    "IsNaN": lower_test,
    "LSTM": lower_recurrent,
    "LayerNormalization": lower_norm,
    "LeakyRelu": lower_leaky_relu,
    "Less": lower_comparison,
    "LessOrEqual": lower_comparison,
    "MatMul": lower_matmul,
    "Max": lower_choice,
    "MaxPool": lower_max_pool,
    "Min": lower_choice,
    "Mod": lower_two_table,
    "Mul": lower_mul,
    "Pad": lower_pad,
    "Pow": lower_two_table,
    "QuantizeLinear": lower_last_quantizer,
    "RNN": lower_recurrent,
    "ReduceMean": lower_reduction,
    "ReduceSum": lower_reduction,
    "Relu": lower_clamp,
    "ScatterElements": lower_scatter,
    "ScatterND": lower_scatter,
    "Sigmoid": lower_sigmoid,
    "SimplifiedLayerNormalization": lower_norm,
    "Softmax": lower_softmax,
    "Sub": lower_sub,
    "TopK": lower_top_k,
    "Where": lower_choice,
}
_REWRITES: Mapping[Rules, Callable[[Context], int]] = {Rules.STANDARD: write_standard}
_BY_SCALE_RULE: dict[type[ScaleRule], Rule] = {Same: lower_same, NoFloat: lower_host}


@dataclass(frozen=True)
class Lowering:
    """What lowering did: the integer program, and remarks."""

    program: Program
    notes: tuple[Remark, ...]


def rule_for(node: ir.Node) -> Rule:
    """The rule that lowers a node of the table: that of its op, that of its scale rule, or a table of codes."""
    return _RULES.get(node.op_type) or _BY_SCALE_RULE.get(type(rule_of(node))) or lower_table


def lower(
    model: ir.Model, plan: QuantPlan, io: Io = "float", target: Target = TARGETS["x86"], grid: Grid = Grid.FREE,
) -> Lowering:  # fmt: skip
    """Rewrites a prepared float graph into an integer graph, in place, as the plan says, with multipliers of a grid.

    The result is exact on every processor of `target`. Raises ArtifactError when the plan has no parameters for a tensor that an
    integer node touches.
    """
    graph = model.graph
    outputs = [value.name for value in graph.outputs]
    ctx = Context(graph, plan, target, grid)
    nodes = list(integer_nodes(graph, plan.kept))
    reads = float_reads(graph, nodes)
    given = set(graph.all_nodes()) - set(nodes)
    if io != "float":
        integer_inputs(ctx, io)
    else:
        wide_inputs(ctx)
    for node in nodes:
        ctx.begin(node)
        ctx.names.release_node(str(node.name))  # the integer node takes the name, so that a person finds the layer again
        rule_for(node)(node, ctx)
    _remove([node for node in nodes if not ctx.is_kept(node)])
    connect_float_readers(ctx, reads, io)
    fold_border_scales(graph, ctx.names, border_nodes(plan.channel_scales), ctx.meanings)
    keep_float_layers(graph, ctx.names)
    keep_in_domain(graph, ctx.names)
    common_passes.RemoveUnusedNodesPass()(model)  # such as codes of wide integers, which would pass for readers of them
    for tuning in target.tuning:
        if tuning in TUNING_PASSES:
            TUNING_PASSES[tuning](graph, ctx.names, ctx.meanings)
    pad_inputs(graph, ctx.names)
    for rules in target.rules:
        _REWRITES[rules](ctx)
    spell_norms(graph)
    _import_domains(model)
    common_passes.RemoveUnusedNodesPass()(model)
    share_constants(graph)
    graph.sort()
    program = Program.build(graph, with_channel_scales(ctx.meanings, plan), ctx.borders)
    program.write(model)
    assert outputs == [value.name for value in graph.outputs], "an output lost its name"
    _check(model, program, target, given)
    return Lowering(program, tuple(ctx.notes))


def with_channel_scales(meanings: Mapping[ir.Node, Meaning], plan: QuantPlan) -> Mapping[ir.Node, Meaning]:
    """The meanings in units of the float tensors: a scale for each channel where the plan has divided them."""
    return {node: replace(m, params=_by_channel(m.params, m.tensors[0], plan)) for node, m in meanings.items()}


def _by_channel(params: QuantParams | None, tensor: str | None, plan: QuantPlan) -> QuantParams | None:
    found = plan.channel_scales.get(tensor or "")
    if params is None or found is None:
        return params
    scale = np.asarray(params.scale * found.factors, np.float32)
    return QuantParams(scale, np.broadcast_to(params.zero_point, scale.shape), params.int_type, found.axis)


def _import_domains(model: ir.Model) -> None:
    """Names com.microsoft among the operator sets where one of its operators is there."""
    if any(node.domain == MS for node in model.graph.all_nodes()):
        model.opset_imports[MS] = 1
    else:
        model.opset_imports.pop(MS, None)


def _check(model: ir.Model, program: Program, target: Target, given: Collection[ir.Node]) -> None:
    """Raises AssertionError for a graph that is not of the integer language, or not for its target: a fault of ours.

    Nodes of `given` are the float model's own.
    """
    faults = check(model, given)
    if target.arithmetic.adds_pairs_in_int16:
        faults += [f"{step.name} may saturate with AVX2 and without VNNI" for step in saturating_steps(program)]
    if Rules.STANDARD in target.rules:
        foreign = (step for step in foreign_to_others(program) if step.node not in given)
        faults += [f"{step.name} ({step.op}) is not for other runtimes" for step in foreign]
    if faults:
        raise AssertionError("; ".join(faults))


def _remove(nodes: list[ir.Node]) -> None:
    for node in nodes:
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)
        assert node.graph is not None
        node.graph.remove(node)
