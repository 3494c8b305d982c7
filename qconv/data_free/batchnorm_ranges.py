"""How far values reach behind a batch norm, from its parameters alone.

Training left channel c of a batch norm's output with mean beta_c and deviation |gamma_c|, so its values lie within

    beta_c +- K |gamma_c|

cut by the clamp behind it. Sums of two such tensors add means and variances, as if they were independent; a clamp cuts the
normal distribution, whose new mean and variance follow by its quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import onnx_ir as ir

from qconv.data_free.batchnorm_match import Matrix
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import clamp_bounds

# The largest of 100 samples of real data lies 4 to 12 deviations from the mean in trained networks, mostly about 6.
K = 6.0
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 200) for i in range(200)])[:, None]


@dataclass(frozen=True, eq=False)
class Channels:
    """What is known of a tensor, [channels] each: mean, variance, and the range."""

    mean: Matrix
    variance: Matrix
    lo: Matrix
    hi: Matrix


def batchnorm_ranges(graph: ir.Graph) -> dict[str, tuple[float, float]]:
    """Tensor -> (lo, hi) for batch norms of an unprepared graph, and the clamps and sums behind them."""
    known: dict[ir.Value, Channels] = {}
    for node in graph:
        rule = next((rule for trait, rule in _RULES.items() if has_trait(node, trait)), None)
        found = rule(node, [known.get(value) if value is not None else None for value in node.inputs]) if rule else None
        if found is not None:
            known[node.outputs[0]] = found
    return {str(value.name): (float(k.lo.min()), float(k.hi.max())) for value, k in known.items()}


def clamped_ranges(graph: ir.Graph) -> dict[str, tuple[float, float]]:
    """Tensor -> the bounds that nothing behind a Relu or a Clip of constant bounds passes."""
    found: dict[str, tuple[float, float]] = {}
    for node in graph:
        bounds = clamp_bounds(node)
        if bounds is not None:
            found[str(node.outputs[0].name)] = bounds
    return found


def _batchnorm(node: ir.Node, operands: Sequence[Channels | None]) -> Channels | None:
    gamma, beta = const_array(node.inputs[1]), const_array(node.inputs[2])
    if gamma is None or beta is None or not beta.size:
        return None
    mean, spread = beta.astype(np.float64), np.abs(gamma.astype(np.float64))
    return Channels(mean, np.square(spread), mean - K * spread, mean + K * spread)


def _clamp(node: ir.Node, operands: Sequence[Channels | None]) -> Channels | None:
    bounds = clamp_bounds(node)
    return None if operands[0] is None or bounds is None else _cut(operands[0], *bounds)


def _sum(node: ir.Node, operands: Sequence[Channels | None]) -> Channels | None:
    terms = [operand for operand in operands if operand is not None]
    if len(terms) != len(operands) or len({len(term.mean) for term in terms}) != 1:
        return None
    mean, variance = sum(term.mean for term in terms), sum(term.variance for term in terms)
    assert isinstance(mean, np.ndarray) and isinstance(variance, np.ndarray)
    reach = K * np.sqrt(variance)
    lo, hi = np.sum([term.lo for term in terms], axis=0), np.sum([term.hi for term in terms], axis=0)
    return Channels(mean, variance, np.maximum(lo, mean - reach), np.minimum(hi, mean + reach))


def _cut(operand: Channels, lo: float, hi: float) -> Channels:
    values = np.clip(operand.mean + np.sqrt(operand.variance) * _QUANTILES, lo, hi)
    return Channels(values.mean(axis=0), values.var(axis=0), np.clip(operand.lo, lo, hi), np.clip(operand.hi, lo, hi))


_RULES: dict[Trait, Callable[[ir.Node, Sequence[Channels | None]], Channels | None]] = {
    Trait.SUMS: _sum,
    Trait.NORMALIZES: _batchnorm,
    Trait.CLAMPS: _clamp,
}
