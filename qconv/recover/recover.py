"""Weight codes and biases that repair what quantization lost, layer by layer, from samples.

Each layer is fitted so that, fed by the network as quantized so far, it gives what the float network gives there. So it also
repairs what the layers before it lost. A layer changes only if that brings what it gives closer to the float network's on samples
that the fit did not see, and what comes out is kept only if the outputs are closer for it: on those samples, or on all where
running them costs little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.model.graph import const_array, shared_arrays
from qconv.model.memory import give_memory_back
from qconv.ops.forms import bias_of
from qconv.plan.levels import codebook_for, levels_for, with_levels
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.weights import weight_codes
from qconv.quant.types import IntArray, QuantParams
from qconv.ranges.search.judges import judges_of
from qconv.ranges.search.output_error import Outputs, outputs_of, pooled_noise
from qconv.recover.fit import Weights, fit_weights, loss_of
from qconv.recover.layers import Layer, layer_of
from qconv.recover.moments import Fit, Moments
from qconv.recover.stages import Stages
from qconv.recover.twin import Twin
from qconv.targets import WeightScales, target_of

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Progress = Callable[[int, int | None], None]
_HELD_BACK = 5  # one sample of so many
_CHEAP = 1 << 21  # elements in the inputs of all samples, of which all judge the result: a few decide by chance
_MUCH = 1 << 26  # bytes that are carried, of a network whose stages take as much of onnxruntime
_ROWS_PER_COLUMN = 8  # fewer, and a layer's moments say little


@dataclass(frozen=True)
class Effort:
    """How much to do: samples, rows of each layer, and the widest layer [K] that is rounded anew."""

    samples: int
    rows: int
    columns: int


EFFORTS = {"fast": Effort(100, 12_000, 1_200), "full": Effort(400, 60_000, 4_608)}


@dataclass(frozen=True)
class Recovered:
    """The plan, and the noise at the outputs before and after (ranges/search/output_error.py); `layers` that changed.

    `unseen` is the noise after, of the samples that are held back alone: it compares one form of a network with another.
    """

    plan: QuantPlan
    layers: int
    samples: int
    noise_before: float
    noise_after: float
    unseen: float


def recover(
    model: ir.Model,
    plan: QuantPlan,
    config: QuantConfig,
    samples: Sequence[Feeds],
    effort: Effort,
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> Recovered:
    """Adds weight codes and biases to a plan, for layers that gain by them. `model` is prepared, and not changed.

    Deterministic for the same samples. Raises ModelError where a part of the model cannot be run alone.
    """
    mixed, held = divided(samples)
    judges = mixed if sum(array.size for sample in mixed for array in sample.values()) <= _CHEAP else held
    twin, layers = Twin(model, plan, config), list(fitted_layers(model.graph, plan, effort))
    compared = judges_of(model.graph)
    before = outputs_of(twin.model, judges, threads, compared)
    moments = LayerMoments(model, twin, layers, plan, effort, mixed, threads)
    found: dict[Layer, Weights] = {}
    for number, layer in enumerate(layers):
        train, check = moments.of_next(number)
        weights = fitted_weights(model, layer, plan, config, train, check)
        if weights is not None:
            found[layer] = weights
            twin.set_weights(layer, weights)
        if progress is not None:
            progress(number + 1, len(layers))
    exact, after = (outputs_of(network, judges, threads, compared) for network in (model, twin.model))
    noise = [pooled_noise(outputs, exact) for outputs in (before, after)]
    apart = [index for index, sample in enumerate(judges) if any(sample is other for other in held)]
    if noise[1] >= noise[0]:
        return Recovered(plan, 0, len(samples), noise[0], noise[0], _noise_at(apart, before, exact))
    unseen = _noise_at(apart, after, exact)
    return Recovered(with_weights(plan, found), len(found), len(samples), noise[0], noise[1], unseen)


def _noise_at(places: Sequence[int], outputs: Sequence[Outputs], exact: Sequence[Outputs]) -> float:
    return pooled_noise([outputs[i] for i in places], [exact[i] for i in places])


class LayerMoments:
    """Runs both networks from layer to layer; samples that are held back only judge."""

    def __init__(
        self, model: ir.Model, twin: Twin, layers: Sequence[Layer], plan: QuantPlan, effort: Effort, samples: Sequence[Feeds],
        threads: int,
    ) -> None:  # fmt: skip
        exact = model.clone()
        nodes = {str(node.name): node for node in exact.graph}
        self._twin, self._layers, self._plan, self._effort = twin, layers, plan, effort
        self._ahead = Stages(exact, [nodes[layer.name] for layer in layers], samples, threads)
        self._behind = Stages(twin.model, [twin.node(layer) for layer in layers], samples, threads)
        for _ in self._ahead.advance([]):
            pass

    def of_next(self, number: int) -> tuple[Fit, Fit]:
        """The moments of the next layer: of the samples to fit to, and of those that are held back."""
        if self._ahead.nbytes > _MUCH:
            give_memory_back()
        layer = self._layers[number]
        source = self._twin.source(layer)
        rows = _Rows(layer, self._plan, self._effort, number, self._behind.samples)
        pairs = zip(self._behind.advance([source]), self._ahead.advance([layer.y]), strict=False)  # one sample at a time
        for inputs, outputs in pairs:
            rows.take(inputs[source], outputs[layer.y])
        self._behind.keep(rows.samples)
        self._ahead.keep(rows.samples)
        return rows.fits()


def divided(samples: Sequence[Feeds]) -> tuple[list[Feeds], list[Feeds]]:
    """All samples in a mixed order, and those of them that are held back and only judge."""
    order = np.random.default_rng(0).permutation(len(samples))
    mixed = [samples[i] for i in order]
    return mixed, [sample for index, sample in enumerate(mixed) if _is_held_back(index, len(mixed))] or mixed


def given_weights(model: ir.Model, layer: Layer, plan: QuantPlan, config: QuantConfig) -> Weights:
    """The weights that lowering gives a layer by a plan."""
    node = _node_of(model, layer)
    weight, params = const_array(node.inputs[1]), plan.tensors[layer.weight_name]
    assert weight is not None
    given, bias = plan.weight_codes.get(layer.weight_name), plan.biases.get(layer.weight_name, bias_of(node))
    codes = weight_codes(node, weight, params, config) if given is None else given
    return Weights(params, codes, None if bias is None else bias.astype(np.float32))


def fitted_weights(model: ir.Model, layer: Layer, plan: QuantPlan, config: QuantConfig, train: Fit, held: Fit) -> Weights | None:
    """The weights of one layer; None where those that lowering would give it are best."""
    node = _node_of(model, layer)
    weight = const_array(node.inputs[1])
    assert weight is not None
    levels, nearest = levels_for(node, weight, config), given_weights(model, layer, plan, config)
    target, x, y = target_of(config.target), plan.tensors[layer.x], plan.tensors.get(layer.y)
    pairs, few = layer.pairs and target.arithmetic.adds_pairs_in_int16, layer.is_conv and target.weight is WeightScales.FEW

    def fitted(near: Weights, levels: IntArray | None) -> Weights:
        return fit_weights(
            layer, weight, near, x, train, held, pairs=pairs, few_scales=few, y=y, grid=config.grid, levels=levels
        )  # fmt: skip

    found, codebook = fitted(nearest, levels), codebook_for(node, weight, config)
    if codebook is not None:
        other = fitted(Weights(*with_levels(node, weight, codebook, x, config), nearest.bias), codebook)
        found = min(found, other, key=lambda weights: loss_of(layer, weights, held))
    return None if found is nearest else found


def _node_of(model: ir.Model, layer: Layer) -> ir.Node:
    return next(node for node in model.graph if node.name == layer.name)


class _Rows:
    """Rows of one layer from all samples, and their moments: those of samples held back apart from the others."""

    def __init__(self, layer: Layer, plan: QuantPlan, effort: Effort, seed: int, samples: int) -> None:
        self._layer = layer
        self._x = plan.tensors[layer.x]
        self._y = plan.tensors.get(layer.y)
        self._rng = np.random.default_rng(seed)
        self._count = math.ceil(max(effort.rows, _ROWS_PER_COLUMN * layer.columns) / samples)
        self._rows: list[tuple[Array, Array]] = []

    @property
    def samples(self) -> int:
        """How many samples rows were taken from."""
        return len(self._rows)

    def take(self, x: Array, y: Array) -> None:
        """Rows of one more sample: codes, or reals that are codes, and outputs."""
        codes = x if x.dtype == self._x.int_type.dtype else self._x.quantize(x)
        self._rows.append(self._layer.rows(codes, y, self._count, int(self._x.zero_point), self._rng))

    def fits(self) -> tuple[Fit, Fit]:
        """The fits of the samples that are fitted to, and of those that are held back."""
        rows, step = self._rows, self._step(self._rows)
        held = [_is_held_back(index, len(rows)) for index in range(len(rows))]
        parts = [[row for row, apart in zip(rows, held, strict=True) if apart is side] or rows for side in (False, True)]
        train, check = (self._fit([x for x, _ in part], [y for _, y in part], step) for part in parts)
        return train, check

    def _step(self, rows: Sequence[tuple[Array, Array]]) -> float:
        """The width of a code of the output; of 255 to its greatest value where the plan has none, as before a bias."""
        if self._y is not None:
            return float(self._y.scale)
        return max(max(float(np.abs(y).max(initial=0.0)) for _, y in rows) / 255.0, 1e-30)

    def _fit(self, codes: Sequence[Array], outputs: Sequence[Array], step: float) -> Fit:
        moments = Moments.of(np.concatenate(codes, axis=1), np.concatenate(outputs, axis=1), step)
        return Fit.of(moments, self._x, step, has_bias=self._layer.has_bias)


def _is_held_back(index: int, count: int) -> bool:
    """Whether a sample is not fitted to; none is where there are too few to divide: then all judge as well."""
    return count >= _HELD_BACK and index % _HELD_BACK == 0


def fitted_layers(graph: ir.Graph, plan: QuantPlan, effort: Effort) -> Iterator[Layer]:
    """The integer layers of weights that are not wider than the effort allows.

    One weight a channel has no error that others could take over; and where it rescales what gates read, whose input is cut off
    where they are flat, a fit to the values beyond would bend it.
    """
    shared = shared_arrays(graph)  # one array of codes serves all places, and may fit no single one
    for node in graph:
        layer = layer_of(node) if node.name not in plan.float_nodes and node.name not in plan.steep else None
        if layer is None or layer.weight_name in shared or not {layer.weight_name, layer.x} <= plan.tensors.keys():
            continue
        if 1 < layer.columns <= effort.columns and layer.outputs:
            yield layer


def with_weights(plan: QuantPlan, found: Mapping[Layer, Weights]) -> QuantPlan:
    """The plan with the weights of some layers."""
    params: dict[str, QuantParams] = {layer.weight_name: weights.params for layer, weights in found.items()}
    codes = {layer.weight_name: weights.codes for layer, weights in found.items()}
    biases = {layer.weight_name: weights.bias for layer, weights in found.items() if weights.bias is not None}
    return replace(
        plan,
        tensors={**plan.tensors, **params},
        weight_codes={**plan.weight_codes, **codes},
        biases={**plan.biases, **biases},
    )
