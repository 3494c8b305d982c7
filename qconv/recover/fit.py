"""The weights of one layer, fitted to its moments and rounded.

Rows that were held back decide which ridge toward the float weights is taken, and whether the layer changes at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qconv.plan.weights import POWERS_NEARBY
from qconv.quant.certify import scales_in_grid
from qconv.quant.grids import Grid, power_of_two
from qconv.quant.level_sets import NARROWER
from qconv.quant.params import SMALLEST_SCALE
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.recover.layers import Layer
from qconv.recover.moments import Fit, Float64Array
from qconv.recover.rounding import Levels, descended, rounded

_RIDGES = (0.03, 0.3, 3.0, 30.0)  # of the mean diagonal
_ROUNDING_RIDGE = 0.1  # keeps codes from making up for chance in the samples
_WIDER = (1.0, 1.15, 1.35, 1.6)  # for neighbours that must not saturate
_NARROWER = (0.55, 0.65, 0.75, 0.85, 1.0)  # for few levels, of which clipping gives more
_FEW_LEVELS = 64
_BIAS_ROOM = 2.0**29  # steps that a bias may take, of 2^31
_Places = NDArray[np.intp]


@dataclass(frozen=True)
class Weights:
    """What a layer computes with: parameters and codes of the weight in the layout of the graph, and its bias or None."""

    params: QuantParams
    codes: IntArray
    bias: FloatArray | None

    @property
    def reals(self) -> FloatArray:
        """The weight that the codes stand for."""
        return self.params.dequantize(self.codes)


def fit_weights(
    layer: Layer, weight: NDArray[np.floating], nearest: Weights, x: QuantParams, train: Fit, held: Fit, *, pairs: bool,
    few_scales: bool = False, y: QuantParams | None = None, grid: Grid = Grid.FREE, levels: IntArray | None = None,
) -> Weights:  # fmt: skip
    """The best for rows that were held back: `nearest` as it is, `nearest` with a better bias, or rounded to second order.

    `weight` is the float weight, `x` are the parameters of the layer's input, and `pairs` forbids neighbours that saturate. With
    `few_scales` channels that have one scale keep one. `grid` tells which multipliers there are, to the parameters `y` of the
    layer's output where it has some, `levels` which codes a weight may take where not all do.
    """
    exact: Float64Array = layer.weights(weight.astype(np.float64))
    near = layer.weights(nearest.reals.astype(np.float64))
    bias = np.zeros_like(train.mean_y) if nearest.bias is None else _spread(nearest.bias, layer)
    int_type = nearest.params.int_type
    allowed = Levels(int_type.qmin, int_type.qmax, pairs) if levels is None else Levels.of(levels)
    choices = [(held.loss(near, bias), nearest)]
    if layer.has_bias:
        choices.append((held.loss(near, train.bias(near)), _with(nearest, layer, nearest.codes, near, train)))
    target = _ridge_target(exact, train, held)
    together = _together(nearest.params, layer, few_scales=few_scales)
    scales = _scales(target, train, x, allowed, together, powers=grid.powers)
    scales = [_allowed(scale.astype(np.float32), x, y, grid).astype(np.float64) for scale in scales]
    hessian = _ridged(train, _ROUNDING_RIDGE)
    codes, scale = _best_scales(hessian, target, scales, allowed, together)
    codes = descended(hessian, target, scale, codes, allowed)
    found = codes * scale[:, None, :]
    of_channels = scale.reshape(-1).astype(np.float32)
    params = replace(nearest.params, scale=of_channels if nearest.params.axis is not None else of_channels[0])
    changed = Weights(params, layer.weight(codes).astype(params.int_type.dtype), nearest.bias)
    choices.append((held.loss(found, train.bias(found)), _with(changed, layer, changed.codes, found, train)))
    return min(choices, key=lambda choice: choice[0])[1]


def loss_of(layer: Layer, weights: Weights, fit: Fit) -> float:
    """The squared error of what a layer gives with some weights, on the rows of a fit."""
    bias = np.zeros(layer.outputs, np.float32) if weights.bias is None else weights.bias
    return fit.loss(layer.weights(weights.reals.astype(np.float64)), _spread(bias, layer))


def _with(weights: Weights, layer: Layer, codes: IntArray, reals: Float64Array, train: Fit) -> Weights:
    bias = train.bias(reals).reshape(-1).astype(np.float32) if layer.has_bias else None
    return Weights(weights.params, codes, bias)


def _spread(bias: NDArray[np.floating], layer: Layer) -> Float64Array:
    return np.broadcast_to(bias.astype(np.float64), layer.outputs).reshape(layer.groups, -1)


def _ridge_target(exact: Float64Array, train: Fit, held: Fit) -> Float64Array:
    """The real weights that rows held back like best, between the least squares and the float weights."""
    best, target = held.loss(exact, train.bias(exact)), exact
    for ridge in _RIDGES:
        weight = ridge * _diagonal(train)
        v = np.asarray(np.linalg.solve(_ridged(train, ridge), train.target + weight[:, None, None] * exact), np.float64)
        loss = held.loss(v, train.bias(v))
        if loss < best:
            best, target = loss, v
    return target


def _best_scales(
    hessian: Float64Array, target: Float64Array, scales: Sequence[Float64Array], levels: Levels, together: _Places | None
) -> tuple[Float64Array, Float64Array]:
    """Each output with the scale whose codes lose least, or those that are together with one for all of them."""
    count = len(scales)
    tried = np.concatenate(scales, axis=1)
    wanted = np.concatenate([target] * count, axis=2)
    codes = rounded(hessian, wanted, tried, levels)
    error = codes * tried[:, None, :] - wanted
    losses = (error * (hessian @ error)).sum(axis=1).reshape(len(codes), count, -1)
    if together is not None:
        sums = [np.bincount(together.reshape(-1), loss.reshape(-1)) for loss in np.moveaxis(losses, 1, 0)]
        losses = np.stack([of_place[together] for of_place in sums], axis=1)
    choice = losses.argmin(axis=1)[:, None, :]
    of_scale = np.take_along_axis(tried.reshape(losses.shape), choice, 1)[:, 0]
    by_scale = codes.reshape(*codes.shape[:2], count, -1)
    return np.take_along_axis(by_scale, choice[:, None], 2)[:, :, 0], of_scale


def _together(params: QuantParams, layer: Layer, *, few_scales: bool) -> _Places | None:
    """Numbers [G, O] that outputs of one scale share; None where each may have its own."""
    if params.axis is None:
        return np.zeros((layer.groups, layer.outputs // layer.groups), np.intp)
    return np.unique(params.scale, return_inverse=True)[1].reshape(layer.groups, -1) if few_scales else None


def _scales(
    v: Float64Array, train: Fit, x: QuantParams, levels: Levels, together: _Places | None, *, powers: bool
) -> list[Float64Array]:
    """Candidates for the scales [G, O], under which the bias fits in int32."""
    least = float(SMALLEST_SCALE)
    base = np.abs(v).max(axis=1) / levels.qmax
    base = np.where(base > least, base, base[base > least].min(initial=1.0))  # as for nearest codes: a dead channel
    room = np.abs(train.bias(v)) / (float(x.scale) * _BIAS_ROOM)
    base, room = (_largest_of(scale, together) for scale in (np.maximum(base, room), room))
    if levels.codes is not None:
        return [np.maximum(base * factor, room) for factor in NARROWER]
    if powers:
        return [base * factor for factor in POWERS_NEARBY]
    factors = _NARROWER if levels.qmax - levels.qmin < _FEW_LEVELS else _WIDER if levels.pairs else (1.0,)
    return [base * factor for factor in factors]


def _largest_of(scale: Float64Array, together: _Places | None) -> Float64Array:
    """Gives outputs of one scale the largest of theirs."""
    if together is None:
        return scale
    largest = np.zeros(int(together.max()) + 1)
    np.maximum.at(largest, together, scale)
    return np.asarray(largest[together])


def _allowed(scale: FloatArray, x: QuantParams, y: QuantParams | None, grid: Grid) -> FloatArray:
    """The scales nearby that lead to multipliers of the grid."""
    if grid.powers:
        return power_of_two(scale)
    return scale if y is None else scales_in_grid(x.scale, scale, y, grid)


def _ridged(train: Fit, ridge: float) -> Float64Array:
    return np.asarray(train.hessian + (ridge * _diagonal(train))[:, None, None] * np.eye(train.hessian.shape[1]))


def _diagonal(train: Fit) -> Float64Array:
    """The mean diagonal of each group; never zero, so that a ridge makes every group definite."""
    mean = np.einsum("gkk->gk", train.hessian).mean(axis=1)
    return np.asarray(np.maximum(mean, max(float(mean.max(initial=0.0)) * 1e-9, float(SMALLEST_SCALE) ** 2)))
