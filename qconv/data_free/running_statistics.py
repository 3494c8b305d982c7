"""What batch norms remember of their inputs from training, and how far other statistics are from it.

    gap_k = KL( N(m_k, v_k) || N(M_k, V_k) ) = ( v_k / V_k + (m_k - M_k)^2 / V_k - 1 - ln(v_k / V_k) ) / 2        in nats

for channel k with remembered mean M and variance V, and m and v of a batch. epsilon counts to both variances, as the batch norm
itself adds it: a dead channel is as far off as it comes out. A layer's gap is the mean over its channels, a network's the mean
over its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_float, const_array
from qconv.model.traits import Trait, has_trait

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """A batch norm by name: the tensor that it reads, and the mean and variance (plus epsilon) of each channel."""

    name: str
    tensor: str
    mean: Vector
    variance: Vector
    epsilon: float


def remembered_layers(graph: ir.Graph) -> list[Layer]:
    """The batch norms of an unprepared graph with constant statistics, in its order."""
    found = []
    for node in graph:
        if not has_trait(node, Trait.NORMALIZES):
            continue
        mean, variance = const_array(node.inputs[3]), const_array(node.inputs[4])
        tensor = node.inputs[0]
        if mean is None or variance is None or tensor is None or tensor.is_graph_input() or not mean.size:
            continue
        epsilon = attr_float(node, "epsilon", 1e-5)
        known = mean.astype(np.float64), variance.astype(np.float64) + epsilon
        found.append(Layer(str(node.name), str(tensor.name), *known, epsilon))
    return found


@dataclass(frozen=True, eq=False)
class Gaps:
    """Per channel of all layers in a row: the moments of a batch less the remembered mean, and what follows.

    `first` = E(t - M), `second` = E(t - M)^2.
    """

    layers: Sequence[Layer]
    first: Vector
    second: Vector

    @property
    def variance(self) -> Vector:
        """The variance v that the samples have, with epsilon."""
        epsilon = np.concatenate([np.full(len(layer.mean), layer.epsilon) for layer in self.layers])
        found: Vector = np.maximum(self.second - np.square(self.first), 0.0) + epsilon
        return found

    @property
    def remembered(self) -> Vector:
        """The variance V that the batch norm remembers, with epsilon."""
        return np.concatenate([layer.variance for layer in self.layers])

    @property
    @np.errstate(invalid="ignore")
    def channels(self) -> Vector:
        """The gap of each channel; NaN where moments are infinite."""
        ratio = self.variance / self.remembered
        found: Vector = 0.5 * (ratio + np.square(self.first) / self.remembered - 1.0 - np.log(ratio))
        return found

    @property
    def by_layer(self) -> dict[str, float]:
        """Name of a batch norm -> its gap."""
        return {layer.name: float(part.mean()) for layer, part in zip(self.layers, self.split(self.channels), strict=True)}

    @property
    def mean(self) -> float:
        """The network's gap."""
        return float(np.mean(list(self.by_layer.values())))

    @property
    def mean_error(self) -> float:
        """Root mean square over all channels of (m - M) / sqrt(V)."""
        return float(np.sqrt(np.mean(np.square(self.first) / self.remembered)))

    @property
    def variance_factor(self) -> float:
        """By how much v and V differ in the middle channel, as a factor of 1 or more."""
        return float(np.exp(np.median(np.abs(np.log(self.variance / self.remembered)))))

    def split(self, channels: Vector) -> list[Vector]:
        """The gaps, split by layer."""
        return np.split(channels, np.cumsum([len(layer.mean) for layer in self.layers])[:-1])

    def slopes(self) -> tuple[Vector, Vector]:
        """(a, b): the sum of the layers' gaps changes by mean over elements of (a + b (t - M)) dt."""
        size = np.concatenate([np.full(len(layer.mean), len(layer.mean)) for layer in self.layers])
        by_variance = (1.0 / self.remembered - 1.0 / self.variance) / size
        return self.first / self.remembered / size - by_variance * self.first, by_variance

    def sentence(self) -> str:
        """A sentence for a person: the mean gap and the worst layer."""
        name, gap = max(self.by_layer.items(), key=lambda item: item[1])
        count = f"{len(self.layers)} batch norm" + "s" * (len(self.layers) > 1)
        return f"{self.mean:.2g} nats to what {count} remember, at worst {gap:.2g} at '{name}'"
