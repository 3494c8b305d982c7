"""What a network loses where one weight has other codes: fitted to what its layer sees, and measured at the outputs.

The network is simulated as it has been quantized so far. For each layer, and each way to write its weight, weight and bias are
fitted to second moments as recovery will fit them (fit.py), and stand in for those that are there. The error at the outputs,

    e = |y~ - y|^2 / |y|^2      from the noise n of samples (ranges/search/output_error.py), whose size the error adds to:
    e = 2 n / (1 - n)

is that of all roundings together. What it grows by is the price; to first order, prices of several layers add up, and those of
one layer go with the error of what it gives, which the moments tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.model.edit import to_inputs
from qconv.model.graph import const_array
from qconv.model.session import open_session
from qconv.ops.op_table import has_weight, spec_of
from qconv.plan.make import with_weights_of
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.weights import rounded_weight
from qconv.quant.params import SMALLEST_SCALE
from qconv.ranges.search.judges import judges_of, with_outputs
from qconv.ranges.search.output_error import noise_of, outputs_of
from qconv.recover.fit import Weights, loss_of
from qconv.recover.layers import Layer
from qconv.recover.moments import Float64Array
from qconv.recover.recover import Effort, LayerMoments, divided, fitted_layers, fitted_weights, given_weights
from qconv.recover.twin import Twin
from qconv.statistics.observe import Progress

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Way = tuple[QuantConfig, QuantPlan]
_MOST_NOISE = 0.999  # so that an error is finite
_OWN = 0.75  # that a slope keeps of itself
_LEAST_SLOPE = 1 / 16  # of the mean: one that is measured to be less, or none, is chance


def prices(
    model: ir.Model, plan: QuantPlan, config: QuantConfig, settings: Sequence[QuantConfig], samples: Sequence[Feeds],
    effort: Effort | None, *, threads: int = 0, progress: Progress | None = None,
) -> dict[str, tuple[float, ...]]:  # fmt: skip
    """By name of the weight, what each of `settings` that it may follow adds to the error at the outputs.

    `model` is prepared, in the form that the plan is for, and not changed. Weights that an effort reaches are fitted to the
    samples, others take the nearest codes. Samples that are held back tell the error.
    """
    mixed, held = divided(samples)
    twin = Twin(model, plan, config)
    layers = {} if effort is None else {layer.weight_name: layer for layer in fitted_layers(model.graph, plan, effort)}
    for layer in layers.values():
        twin.set_weights(layer, _with_bias(given_weights(model, layer, plan, config), layer))
    ways = [(way, with_weights_of(model.graph, plan, way)) for way in settings]
    nodes = weighted(model.graph, plan)
    compared = judges_of(model.graph)
    exact = outputs_of(model, held, threads, compared)
    exchange = _Exchange(with_outputs(twin.model, compared), layers, nodes, held, exact, threads)
    found = {
        name: tuple(exchange.price(_nearest(node, name, way)) for way in ways)
        for name, node in nodes.items()
        if name not in layers
    }
    if effort is None or not layers:
        return found
    moments = LayerMoments(model, twin, list(layers.values()), plan, effort, mixed, threads)
    measured: dict[str, tuple[Float64Array, Float64Array]] = {}
    for number, layer in enumerate(layers.values()):
        train, check = moments.of_next(number)
        fits = [
            fitted_weights(model, layer, planned, way, train, check) or given_weights(model, layer, planned, way)
            for way, planned in ways
        ]
        present = loss_of(layer, given_weights(model, layer, plan, config), check)
        growth = np.asarray([loss_of(layer, weights, check) for weights in fits]) - present
        given = max(float(check.power.sum()), float(SMALLEST_SCALE))
        measured[layer.weight_name] = growth / given, np.asarray([exchange.price(_arrays(layer, weights)) for weights in fits])
        if progress is not None:
            progress(number + 1, len(layers))
    return found | _smooth(measured)


def weighted(graph: ir.Graph, plan: QuantPlan) -> dict[str, ir.Node]:
    """By name of the weight, an integer node that reads it."""
    found = dict[str, ir.Node]()
    for node in graph:
        value = node.inputs[1] if spec_of(node) is not None and has_weight(node) else None
        if value is not None and const_array(value) is not None and node.name not in plan.kept and value.name in plan.tensors:
            found.setdefault(str(value.name), node)
    return found


class _Exchange:
    """A simulated network that runs with other weights in some places."""

    def __init__(
        self, model: ir.Model, layers: Mapping[str, Layer], nodes: Mapping[str, ir.Node], judges: Sequence[Feeds],
        exact: Sequence[Sequence[Array]], threads: int,
    ) -> None:  # fmt: skip
        copy = model.clone()
        known = copy.graph.initializers
        names = [name for name in nodes if name not in layers]
        names += [name for layer in layers.values() for name in Twin.names(layer) if name in known]
        self._present = to_inputs(copy.graph, names)
        self._session = open_session(copy, threads=threads, fuse_quantized=False)
        self._judges, self._exact = judges, exact
        self._base = self._error({})

    def price(self, arrays: Mapping[str, Array]) -> float:
        """What other weights and biases add to the error."""
        return self._error(arrays) - self._base

    def _error(self, arrays: Mapping[str, Array]) -> float:
        given = {**self._present, **arrays}
        noise = noise_of([self._session.run(None, {**feeds, **given}) for feeds in self._judges], self._exact)
        return 2.0 * noise / (1.0 - min(noise, _MOST_NOISE))


def _smooth(measured: Mapping[str, tuple[Float64Array, Float64Array]]) -> dict[str, tuple[float, ...]]:
    """Prices by layer that go with its growth, what it loses more as a part of what it gives: one slope for all ways.

    A few samples tell the slope of a single layer badly, and those of one network are alike, as noise mostly passes from layer to
    layer as it is: each is drawn a quarter of the way to the mean of all, in logarithms.
    """
    slopes = {name: _slope(np.maximum(growth, 0.0), prices) for name, (growth, prices) in measured.items()}
    rising = [slope for slope in slopes.values() if slope > 0.0]
    mean = math.exp(float(np.mean(np.log(rising)))) if rising else 1.0
    drawn = {name: max(slope, mean * _LEAST_SLOPE) ** _OWN * mean ** (1.0 - _OWN) for name, slope in slopes.items()}
    return {name: tuple((drawn[name] * np.maximum(growth, 0.0)).tolist()) for name, (growth, _) in measured.items()}


def _slope(growth: Float64Array, prices: Float64Array) -> float:
    """The price of a growth. The variance of a price is taken to grow with the power 3/2 of it."""
    root = np.sqrt(growth[growth > 0.0])
    return float((prices[growth > 0.0] / root).sum() / root.sum()) if root.size else 0.0


def _arrays(layer: Layer, weights: Weights) -> dict[str, Array]:
    weight, bias = Twin.names(layer)
    return {weight: weights.reals} | ({} if weights.bias is None else {bias: weights.bias})


def _with_bias(weights: Weights, layer: Layer) -> Weights:
    """The weights with a bias of zeros where a layer may have one, and has none."""
    if weights.bias is not None or not layer.has_bias:
        return weights
    return Weights(weights.params, weights.codes, np.zeros(layer.outputs, np.float32))


def _nearest(node: ir.Node, name: str, way: Way) -> dict[str, Array]:
    config, plan = way
    weight, codes = const_array(node.inputs[1]), plan.weight_codes.get(name)
    assert weight is not None
    return {name: rounded_weight(node, weight, config) if codes is None else plan.tensors[name].dequantize(codes)}
