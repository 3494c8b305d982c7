"""Whether a plan fits the graph that it is for: a plan may come from a file that a person has edited.

Accumulators are bounded where weights get their codes, in `qconv/lower`; everything that can be told from the plan and the
graph alone is told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.ops.forms import channel_axis, output_channels
from qconv.ops.op_table import has_weight, rule_of, spec_of
from qconv.ops.scale_rules import Fixed
from qconv.plan.apart import moving_ends, moving_starts
from qconv.plan.eligible import no_integer_form
from qconv.plan.fine import as_they_may
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.shared_scales import data_values, integer_nodes
from qconv.plan.wide import wide_tensors
from qconv.quant.types import QuantParams, is_fine

_MOST_BITS = 8
_LARGEST_POWER, _FARTHEST_POWER = 60, 30
_LARGEST, _FARTHEST = 2.0**_LARGEST_POWER, 2.0**_FARTHEST_POWER


def check_plan(graph: ir.Graph, plan: QuantPlan) -> list[str]:
    """A sentence for everything in a plan that does not fit a prepared float graph; none for a plan of our own."""
    names = {str(node.name) for node in graph}
    found = [
        f"it leaves node {name} in float, which the model does not have"
        for name in (*plan.float_nodes, *plan.apart)
        if name not in names
    ]
    forms = ((node, no_integer_form(node)) for node in graph if node.name not in plan.kept)
    found += [f"node {node.name} has to stay in float (float_nodes): {reason}" for node, reason in forms if reason is not None]
    ends = {str(n.name) for n in (*moving_starts(graph, plan.float_nodes), *moving_ends(graph, plan.float_nodes))}
    found += [
        f"node {name} (apart) does not only move elements at an end of the graph" for name in plan.apart if name not in ends
    ]
    tensors = {str(value.name) for node in graph for value in (*node.inputs, *node.outputs) if value is not None}
    found += [f"the model has no tensor {name}" for name in (*plan.tensors, *sorted(plan.wide)) if name not in tensors]
    found += [f"the model has no node {name} (steep)" for name in sorted(plan.steep) if name not in names]
    if found:
        return found  # what follows takes the nodes by name
    nodes = list(integer_nodes(graph, plan.kept))
    narrow = sorted(plan.wide - _may_be_wide(graph, nodes, plan))
    found += [f"tensor {name} cannot be wide, as nothing reads it so" for name in narrow]
    weights = {str(node.inputs[1].name): node for node in nodes if has_weight(node) and node.inputs[1] is not None}
    tables = (("codes", plan.weight_codes), ("a bias", plan.biases))
    found += [f"it has {what} for {name}, which is no weight" for what, table in tables for name in table if name not in weights]
    fine = as_they_may(nodes, plan.tensors)
    for node in nodes:
        found += [sentence for v in data_values(node) if v.name not in fine for sentence in _activation(str(v.name), plan)]
    for name, node in weights.items():
        found += _weight(name, node, plan)
    names = {str(value.name) for node in nodes for value in data_values(node)} & plan.tensors.keys() - fine
    if len({plan.tensors[name].int_type.signed for name in names}) > 1:
        found.append("some activations are signed and others unsigned, which no kernel takes; give all of them one kind of type")
    return list(dict.fromkeys(found or _scales(nodes, plan)))


def _may_be_wide(graph: ir.Graph, nodes: Sequence[ir.Node], plan: QuantPlan) -> set[str]:
    """What sums and norms read so, and what nodes on the way to a steep function read and make."""
    steep = [node for node in nodes if node.name in plan.steep]
    ways = {str(value.name) for node in steep for value in (*node.inputs, *node.outputs) if value is not None}
    return ways | wide_tensors(nodes, graph.inputs).tensors


def _activation(name: str, plan: QuantPlan) -> Iterator[str]:
    params = plan.tensors.get(name)
    if params is None:
        yield f"it has no parameters for tensor {name}"
        return
    if params.axis is not None:
        yield f"tensor {name} is an activation and takes one scale, not one per channel"
    if params.int_type.bits > _MOST_BITS:
        yield f"tensor {name} has the type {params.int_type}, and kernels take 8 bits at most"


def _weight(name: str, node: ir.Node, plan: QuantPlan) -> Iterator[str]:
    params = plan.tensors.get(name)
    if params is None:
        yield f"it has no parameters for weight {name}"
        return
    if not params.int_type.signed or params.int_type.bits > _MOST_BITS + (name in plan.weight_codes):
        yield f"weight {name} has the type {params.int_type}, and kernels take signed codes of at most 8 bits"
    if params.zero_point.any():
        yield f"weight {name} has a zero point other than 0, which the bounds of accumulators do not know"
    axis, channels = channel_axis(node), output_channels(node)
    if params.axis is not None and (params.axis != axis or params.scale.size != channels):
        along = "one scale only" if axis is None else f"one scale, or {channels} along axis {axis}"
        yield f"weight {name} has {params.scale.size} scales along axis {params.axis}, and takes {along}"
    codes, bias = plan.weight_codes.get(name), plan.biases.get(name)
    weight = const_array(node.inputs[1])
    if codes is not None and weight is not None and codes.shape != weight.shape:
        yield f"the codes of weight {name} have the shape {codes.shape}, not {weight.shape}"
    elif codes is not None and codes.size and not (params.int_type.qmin <= codes.min() and codes.max() <= params.int_type.qmax):
        yield f"the codes of weight {name} are not of the type {params.int_type}"
    if bias is not None and bias.size != channels:
        yield f"the bias of weight {name} has {bias.size} entries, not {channels}"


def _scales(nodes: list[ir.Node], plan: QuantPlan) -> Iterator[str]:
    """Scales that the kernel or the mathematics of a node do not bear."""
    for node in nodes:
        spec = spec_of(node)
        assert spec is not None
        if (sentence := _far_apart(node, plan)) is not None:
            yield sentence
            continue
        aside = node.outputs[0].name in plan.wide or is_fine(plan.tensors[str(node.outputs[0].name)])
        reason = None if aside else spec.limit(node, plan.tensors)
        if reason is not None:
            yield f"node {node.name} does not bear these scales: {reason}"
        match rule_of(node):
            case Fixed(params):
                found = plan.tensors[str(node.outputs[0].name)]
                wanted = params(node, found.int_type)
                if not _equal(found, wanted):
                    yield f"the output of node {node.name} takes the scale {wanted.scale} and the zero point {wanted.zero_point}"


def _far_apart(node: ir.Node, plan: QuantPlan) -> str | None:
    """Steps of inputs and outputs of a node that no multiplier of 31 bits and a shift connects in float32."""
    data = [plan.tensors[str(value.name)] for value in data_values(node)]
    weight = [plan.tensors[str(node.inputs[1].name)]] if has_weight(node) and node.inputs[1] is not None else []
    factor = max((float(params.scale.max()) for params in weight), default=1.0)
    outputs = [float(plan.tensors[str(value.name)].scale) for value in node.outputs if str(value.name) in plan.tensors]
    sizes = [float(params.scale) for params in data]
    if min(sizes) < 1 / _LARGEST or max(sizes) > _LARGEST or not 1 / _LARGEST < factor < _LARGEST:
        return f"the scales of node {node.name} are beyond 2^{_LARGEST_POWER} or below 2^-{_LARGEST_POWER}"
    if outputs and max(sizes) * factor / min(outputs) > _FARTHEST:
        return f"a step of an input of node {node.name} is more than 2^{_FARTHEST_POWER} steps of its output"
    return None


def _equal(a: QuantParams, b: QuantParams) -> bool:
    return bool(np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point))
