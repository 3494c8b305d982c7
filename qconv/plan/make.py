"""From ranges to a plan: parameters for every tensor that an integer node touches."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.model.graph import const_array, is_float
from qconv.ops.forms import bias_of, by_channels, channel_axis, summed_axes
from qconv.ops.op_table import has_weight, rule_of, spec_of
from qconv.ops.scale_rules import Shared
from qconv.plan.activations import Activations, RangeOf, int_type_of, range_of_tensor
from qconv.plan.apart import entering_apart, leaving_apart
from qconv.plan.eligible import float_nodes
from qconv.plan.fine import fine_params
from qconv.plan.levels import levels_for, with_levels
from qconv.plan.pinned import codes_over_copies, pinned_params
from qconv.plan.policy import check_rules
from qconv.plan.quant_plan import ChannelScales, QuantPlan, border_nodes
from qconv.plan.remark import Remark
from qconv.plan.shared_scales import SharedScales
from qconv.plan.steep import Steep
from qconv.plan.weights import safe_for, weight_params
from qconv.plan.wide import wide_tensors
from qconv.quant.certify import scales_in_grid
from qconv.quant.params import widen_for_accumulator
from qconv.quant.types import IntArray, QuantParams
from qconv.sentences import counted

_FEW_CODES = 16.0  # a Concat input whose range is this many times smaller than the output's keeps 256 / 16 codes


def tensors_to_observe(graph: ir.Graph, config: QuantConfig) -> list[str]:
    """Names of the tensors whose ranges a plan for this graph will ask for, in graph order."""
    ties = _ties(graph, float_nodes(graph, config.excluded, config.prefer), config)
    return [str(value.name) for value in ties.observed()]


def bounded_tensors(graph: ir.Graph, config: QuantConfig) -> dict[str, tuple[float, float]]:
    """Those of the tensors to observe whose values the mathematics of an op bound, with the bounds: Sigmoid, Softmax, Tanh."""
    ties = _ties(graph, float_nodes(graph, config.excluded, config.prefer), config)
    limits = {str(value.name): group.within for value in ties.observed() if (group := ties.group(value)) is not None}
    return {name: params.ends for name, params in limits.items() if params is not None}


def _ties(
    graph: ir.Graph, in_float: Mapping[str, str], config: QuantConfig, apart: Mapping[str, str] | None = None
) -> SharedScales:
    return SharedScales(graph, in_float, partial(int_type_of, config=config), apart, config.pins.activations, config.grid)


def make_plan(
    graph: ir.Graph, range_of: RangeOf, config: QuantConfig, model_sha256: str = "",
    channel_scales: Mapping[str, ChannelScales] = {}, steep: Steep = Steep(),
) -> QuantPlan:  # fmt: skip
    """Decides (S, Z) of every activation and weight. `range_of` gives the calibrated range of a tensor, or None.

    `channel_scales` are those that the graph has been rescaled by (qconv/recover/channels), `steep` what 8 bits do not serve.

    Raises ArtifactError when a range is missing, UsageError when an exclusion matches nothing.
    """
    check_rules(graph, config)
    in_float, apart = {**float_nodes(graph, config.excluded, config.prefer), **steep.in_float}, dict[str, str]()
    while True:  # each node that is taken out may change what its neighbours share
        aside = apart | border_nodes(channel_scales)
        ties, observed, tensors = _activations(graph, in_float, aside, range_of, config, steep.fine)
        nodes = list(ties.integer_nodes())
        wide = wide_tensors(nodes, graph.inputs if config.io == "float" else (), steep.wide).tensors
        refused = _beyond_kernels((node for node in nodes if node.outputs[0].name not in wide), tensors)
        found = {} if config.io != "float" else _apart(graph, in_float | refused, partial(_width, observed, tensors))
        if not refused and found.keys() <= apart.keys():
            break
        in_float, apart = in_float | refused, apart | found
    tensors |= fine_params(nodes, tensors, steep.fine - wide)
    notes, given = [Remark(name, reason) for name, reason in apart.items()], dict[str, IntArray]()
    for node in nodes:
        notes += _plan_weight(node, tensors, given, config)
        notes += [] if node.outputs[0].name in wide else _concat_notes(node, observed, tensors)
    return QuantPlan(
        tensors, in_float, tuple(notes), model_sha256, given, apart=apart, channel_scales=channel_scales, wide=wide,
        steep=steep.nodes,
    )  # fmt: skip


def with_weights_of(graph: ir.Graph, plan: QuantPlan, config: QuantConfig) -> QuantPlan:
    """A plan with the same activations, and with the weights, nearest codes and biases that another config asks for."""
    tensors, given = dict(plan.tensors), dict[str, IntArray]()
    for node in graph:
        if node.name not in plan.kept and spec_of(node) is not None:
            _plan_weight(node, tensors, given, config)
    return replace(plan, tensors=tensors, weight_codes=given, biases={})


def _activations(
    graph: ir.Graph,
    in_float: Mapping[str, str],
    apart: Mapping[str, str],
    range_of: RangeOf,
    config: QuantConfig,
    fine: Collection[str],
) -> tuple[SharedScales, dict[ir.Value, tuple[float, float]], dict[str, QuantParams]]:
    ties = _ties(graph, in_float, config, apart)
    observed = {value: range_of_tensor(value, range_of, fine) for value in ties.observed()}
    return ties, observed, Activations(ties, observed, config).by_name()


def _beyond_kernels(nodes: Iterable[ir.Node], tensors: Mapping[str, QuantParams]) -> dict[str, str]:
    """Node -> the reason, for integer nodes whose scales are beyond their kernel."""
    found = {str(node.name): spec.limit(node, tensors) for node in nodes if (spec := spec_of(node)) is not None}
    return {name: reason for name, reason in found.items() if reason is not None}


def _plan_weight(node: ir.Node, tensors: dict[str, QuantParams], given: dict[str, IntArray], config: QuantConfig) -> list[Remark]:
    """Adds the parameters of a node's weight, and codes that it had before; a note where accumulators asked for a wider scale."""
    if not has_weight(node):
        return []
    weight = const_array(node.inputs[1])
    assert weight is not None and node.inputs[0] is not None and node.inputs[1] is not None
    name, x, pinned = str(node.inputs[1].name), tensors[str(node.inputs[0].name)], config.pins.weight(weight, channel_axis(node))
    if pinned is None:
        params = weight_params(node, weight, config)
        params, raised = widen_for_accumulator(params, by_channels(node, weight), bias_of(node), x, summed_axes(node))
        params, levels = safe_for(node, weight, params, config), levels_for(node, weight, config)
        if levels is not None:
            params, given[name] = with_levels(node, weight, levels, x, config)
        tensors[name] = _in_grid(node, params, tensors, config)
    else:
        tensors[name], raised = pinned_params(node, weight, pinned, x, tensors.get(str(node.outputs[0].name)), config)
        codes = codes_over_copies(node, weight, tensors[name], config)
        given |= {} if codes is None else {name: codes}
    text = f"{counted(raised, 'channel')} got a wider weight scale, so that accumulators fit in int32"
    return [Remark(str(node.name), text)] if raised else []


def _in_grid(node: ir.Node, params: QuantParams, tensors: Mapping[str, QuantParams], config: QuantConfig) -> QuantParams:
    """The parameters of a weight with scales whose multipliers are as short as is asked for."""
    x, y = node.inputs[0], tensors.get(str(node.outputs[0].name))
    if x is None or y is None or config.grid.free:
        return params
    return replace(params, scale=scales_in_grid(tensors[str(x.name)].scale, params.scale, y, config.grid))


def _concat_notes(
    node: ir.Node, observed: Mapping[ir.Value, tuple[float, float]], tensors: Mapping[str, QuantParams]
) -> list[Remark]:
    """A warning for each Concat input that the shared scale leaves only a few codes."""
    if not isinstance(rule_of(node), Shared):
        return []
    output = tensors[str(node.outputs[0].name)]
    whole = _span(output)
    notes: list[Remark] = []
    for value in node.inputs:
        if value is None or not is_float(value) or const_array(value) is not None:
            continue
        params = tensors[str(value.name)]
        span = min(_span(params), observed[value][1] - observed[value][0] if value in observed else math.inf)
        if 0 < span * _FEW_CODES < whole and params != output:
            text = (
                f"{value.name} covers only {span / whole:.1%} of the joint range and keeps few codes; "
                "let the network give its parts as outputs of their own"
            )
            notes.append(Remark(str(node.name), text))
    return notes


def _apart(graph: ir.Graph, in_float: Mapping[str, str], width: Callable[[ir.Value], float | None]) -> dict[str, str]:
    return entering_apart(graph, in_float, width) | leaving_apart(graph, in_float, width)


def _width(observed: Mapping[ir.Value, tuple[float, float]], tensors: Mapping[str, QuantParams], value: ir.Value) -> float | None:
    """The width of a tensor's range, as far as its parameters cover it."""
    params = tensors.get(str(value.name))
    if params is None:
        return None
    lo, hi = observed.get(value, params.ends)
    return min(_span(params), hi - lo)


def _span(params: QuantParams) -> float:
    """The width of the range that parameters cover."""
    return float(params.scale) * (params.int_type.qmax - params.int_type.qmin)
