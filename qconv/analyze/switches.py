"""The float network with the roundings of the integer one, each of which can be switched: one session for all questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import to_inputs
from qconv.model.names import Names
from qconv.model.session import open_session
from qconv.plan.activations import ActivationPlan
from qconv.quant.types import QuantParams
from qconv.ranges.search.fake_quant import put_behind

Array = NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True)
class Setting:
    """Which activations are rounded, with what parameters, and which weights are replaced; everything else is as in float."""

    activations: Mapping[str, QuantParams] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)

    def without(self, activations: Sequence[str], weights: Sequence[str]) -> Setting:
        """The same switches with some roundings less."""
        return Setting(
            {name: params for name, params in self.activations.items() if name not in activations},
            {name: array for name, array in self.weights.items() if name not in weights},
        )


class Switches:
    """A session of its own copy of a prepared model; `plan` tells the activations to switch, `weights` the constants."""

    def __init__(self, model: ir.Model, plan: ActivationPlan, weights: Sequence[str], threads: int) -> None:
        copy = model.clone()
        graph = copy.graph
        self._weights = to_inputs(graph, weights)
        names = Names(graph)
        values = {str(value.name): value for value in (*graph.inputs, *(value for node in graph for value in node.outputs))}
        self._parts = {name: _insert(graph, names, values[name], plan) for name in plan.rounded}
        self._session = open_session(copy, threads=threads, fuse_quantized=False)

    def run(self, feeds: Feeds, setting: Setting) -> list[Array]:
        """The outputs for one sample."""
        given: dict[str, Array] = {**feeds, **self._weights, **setting.weights}
        for name, (on, scale, zero_point, low, high) in self._parts.items():
            params = setting.activations.get(name)
            given[on] = np.asarray(params is not None)
            given[scale] = np.asarray(1.0 if params is None else params.scale, np.float32)
            given[zero_point] = np.asarray(0 if params is None else int(params.zero_point), np.float32)
            given[low] = np.asarray(0 if params is None else params.int_type.qmin, np.float32)
            given[high] = np.asarray(0 if params is None else params.int_type.qmax, np.float32)
        return list(self._session.run(None, given))


def _insert(graph: ir.Graph, names: Names, value: ir.Value, plan: ActivationPlan) -> tuple[str, str, str, str, str]:
    """Rounds a tensor for those that read its codes: S (clip(rint(x / S) + Z) - Z), in float32, where the switch is on."""
    kinds = (ir.DataType.BOOL, *[ir.DataType.FLOAT] * 4)
    on, scale, zero_point, low, high = (_input(graph, names, kind) for kind in kinds)
    steps = [ir.node("Div", [value, scale])]
    steps.append(ir.node("Round", [steps[-1].outputs[0]]))
    steps.append(ir.node("Add", [steps[-1].outputs[0], zero_point]))
    steps.append(ir.node("Clip", [steps[-1].outputs[0], low, high]))
    steps.append(ir.node("Sub", [steps[-1].outputs[0], zero_point]))
    steps.append(ir.node("Mul", [steps[-1].outputs[0], scale]))
    steps.append(ir.node("Where", [on, steps[-1].outputs[0], value]))
    for node in steps:
        node.name, node.outputs[0].name = names.fresh_node("qconv_switch"), names.fresh("qconv_switched")
    put_behind(graph, value, steps, plan.integer, plan.wide_uses)
    return str(on.name), str(scale.name), str(zero_point.name), str(low.name), str(high.name)


def _input(graph: ir.Graph, names: Names, kind: ir.DataType) -> ir.Value:
    value = ir.Value(name=names.fresh("qconv_switch"), type=ir.TensorType(kind), shape=ir.Shape([]))
    graph.inputs.append(value)
    return value
