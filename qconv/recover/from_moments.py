"""Weights fitted to second moments of the float network, where the samples are gone.

The codes x of a layer's input are taken for what the float network gives there, and a rounding error of its own: uniform,
independent, of variance S^2 / 12. With the covariance C and the mean of the float input, the moments of a Fit are then

    hessian H = C + S^2 / 12        target = H w        power = w'H w        mean_y = w'mean + b

(about zero instead of the mean where a layer has no bias). So a layer makes good what rounding its own weights costs; what layers
before it lost cannot be seen in the float network. The least squares, (C + S^2 / 12)^-1 C w, would lose less in the layer
alone, but shrink what it gives, and no layer behind it would know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.model.graph import const_array
from qconv.ops.forms import bias_of
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.types import QuantParams
from qconv.recover.fit import Weights
from qconv.recover.layers import Layer
from qconv.recover.moments import Fit
from qconv.recover.recover import Effort, fitted_layers, fitted_weights, with_weights
from qconv.statistics.second_moments import SecondMoments


@dataclass(frozen=True)
class FromMoments:
    """The plan with better weights, and how many layers they are of."""

    plan: QuantPlan
    layers: int


def recover_from_moments(
    model: ir.Model, plan: QuantPlan, config: QuantConfig, moments: Mapping[str, SecondMoments], effort: Effort
) -> FromMoments:
    """Adds weight codes and biases to a plan. `moments` go by what a layer sees; `model` is prepared, and not changed."""
    found: dict[Layer, Weights] = {}
    for layer in fitted_layers(model.graph, plan, effort):
        seen = moments.get(layer.sight)
        if seen is None or not seen.count:
            continue
        fit = fit_of(model, layer, plan.tensors[layer.x], seen)
        weights = fitted_weights(model, layer, plan, config, fit, fit)
        if weights is not None:
            found[layer] = weights
    return FromMoments(with_weights(plan, found), len(found))


def fit_of(model: ir.Model, layer: Layer, x: QuantParams, moments: SecondMoments) -> Fit:
    """The moments of a layer as they will be behind the rounding of its input."""
    node = next(node for node in model.graph if node.name == layer.name)
    array, bias = const_array(node.inputs[1]), bias_of(node)
    assert array is not None
    w: NDArray[np.float64] = layer.weights(array.astype(np.float64))
    b = np.zeros(layer.outputs) if bias is None else np.broadcast_to(bias.astype(np.float64), layer.outputs)
    mean, gram = moments.mean, moments.square
    mean_y = (w * mean[:, :, None]).sum(axis=1) + b.reshape(layer.groups, -1)
    if layer.has_bias:
        gram = gram - mean[:, :, None] * mean[:, None, :]
    hessian = gram + float(x.scale) ** 2 / 12.0 * np.eye(gram.shape[1])
    target = hessian @ w
    return Fit(hessian, target, (w * target).sum(axis=1), mean, mean_y, layer.has_bias)
