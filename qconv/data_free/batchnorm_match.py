"""Noise whose response in the first batch norms has the mean and variance that they remember from training.

Up to such a batch norm the network is affine, so with independent components of the input the statistics of its channel k are

    mean_k = b_k + sum_c A_kc mu_c            A and b by probing with constant images
    var_k  = sum_j V_kj a_j^2                 V by probing with one component j of unit amplitude at a time

mu follows by least squares and a^2 by non-negative least squares, each row weighted by what the batch norm remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.data_free.random_fields import Component, NoiseRecipe, Spectrum, components
from qconv.model.graph import const_array
from qconv.model.session import open_session
from qconv.model.traits import Trait, has_trait
from qconv.quant.types import FloatArray

MOVING = Trait.MOVES | Trait.FILLS | Trait.JOINS
_LINEAR = MOVING | Trait.SUMS | Trait.NEGATES | Trait.AVERAGES | Trait.NORMALIZES
_OF_ALL = Trait.JOINS | Trait.SUMS  # linear in all inputs together; the others in the first, when only that varies
_DRAWS = 3  # of each component, to estimate its variance behind the layer
_ROUNDS = 400  # of the multiplicative update; the fit no longer moves long before

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RememberedChannels:
    """A batch norm's input tensor and the statistics that training left in it, [channels] each."""

    tensor: str
    mean: Matrix
    variance: Matrix


def affine_batchnorms(graph: ir.Graph) -> dict[str, list[RememberedChannels]]:
    """Graph input -> the batch norms that see an affine function of that input alone."""
    sources: dict[ir.Value, str | None] = {value: value.name for value in graph.inputs if const_array(value) is None}
    found: dict[str, list[RememberedChannels]] = {}
    for node in graph:
        varying = [value for value in node.inputs if value is not None and const_array(value) is None]
        origins = {sources.get(value) for value in varying}
        origin = origins.pop() if len(origins) == 1 and _is_affine(node, varying) else None
        sources |= dict.fromkeys(node.outputs, origin)
        if has_trait(node, Trait.NORMALIZES) and origin is not None and (known := _remembered(node)) is not None:
            found.setdefault(origin, []).append(known)
    return found


def affine_front(model: ir.Model) -> ir.Model | None:
    """The part of a model of one input from there to its `affine_batchnorms`, which are the outputs; None without any.

    It shares its weights with the model, and stays as it is when that is changed.
    """
    graph = model.graph
    inputs = [value for value in graph.inputs if const_array(value) is None]
    tensors = {known.tensor for remembered in affine_batchnorms(graph).values() for known in remembered}
    if len(inputs) != 1 or not tensors:
        return None
    norms = (node for node in graph if has_trait(node, Trait.NORMALIZES))
    ends = [node.outputs[0] for node in norms if node.inputs[0] is not None and node.inputs[0].name in tensors]
    return ir.Model(ir.convenience.extract(graph, inputs, ends), ir_version=model.ir_version)


@dataclass(frozen=True)
class Probe:
    """The affine part of a model between input `name` and some batch norms, and what those remember, [channels] each."""

    respond: Callable[[FloatArray], Matrix]  # a feed -> [channels, elements]
    mean: Matrix
    variance: Matrix

    @classmethod
    def of(cls, model: ir.Model, name: str, norms: Sequence[RememberedChannels]) -> Probe:
        """The channels of all `norms` in one row; dead ones count as a thousandth of the median variance."""
        session = open_session(model, outputs=[norm.tensor for norm in norms], threads=1)

        def respond(array: FloatArray) -> Matrix:
            outputs: list[FloatArray] = session.run(None, {name: array})
            rows = [channels_first(output) for output in outputs]
            length = min(row.shape[1] for row in rows)  # maps of several sizes: as many positions of each, evenly
            picked = [row[:, np.arange(length) * row.shape[1] // max(length, 1)] for row in rows]
            return np.concatenate(picked, dtype=np.float64)

        variance = np.concatenate([norm.variance for norm in norms])
        floor = max(1e-3 * float(np.median(variance)), 1e-12)  # dead channels must not rule the fit
        return cls(respond, np.concatenate([norm.mean for norm in norms]), np.maximum(variance, floor))


def matched(recipe: NoiseRecipe, probe: Probe, rng: np.random.Generator) -> NoiseRecipe:
    """The recipe with the means and amplitudes that the batch norms behind the probe ask for."""
    still = replace(recipe, mean=tuple(map(float, matched_means(recipe, probe))))
    return _amplitudes(still, probe.respond, probe.variance, rng)


def matched_means(recipe: NoiseRecipe, probe: Probe) -> Matrix:
    """The mean of each channel of the input, by least squares."""
    base = probe.respond(_constant(recipe, None)).mean(axis=1)
    columns = [probe.respond(_constant(recipe, channel)).mean(axis=1) - base for channel in range(recipe.channels)]
    weight = 1.0 / np.sqrt(probe.variance)
    solution: Matrix = np.linalg.lstsq(np.stack(columns, 1) * weight[:, None], (probe.mean - base) * weight, rcond=1e-2)[0]
    return solution


def _amplitudes(
    recipe: NoiseRecipe, respond: Callable[[FloatArray], Matrix], variance: Matrix, rng: np.random.Generator
) -> NoiseRecipe:
    zero = respond(_constant(recipe, None))
    still = replace(recipe, mean=(0.0,) * recipe.channels)
    parts = components(recipe.channels)
    columns = []
    for part in parts:
        single = replace(still, amplitudes=((part, 1.0),))
        columns.append(np.mean([np.square(respond(single.draw(rng)) - zero).mean(axis=1) for _ in range(_DRAWS)], axis=0))
    fractions = np.stack(columns, 1) / variance[:, None]
    power = _nonnegative_fit(fractions, np.array([_prior(part) for part in parts]))
    return replace(recipe, amplitudes=tuple((part, float(np.sqrt(p))) for part, p in zip(parts, power, strict=True) if p > 0))


def _nonnegative_fit(fractions: Matrix, start: Matrix) -> Matrix:
    """a^2 >= 0 with fractions @ a^2 close to 1 in every row, near `start` where several do (Lee and Seung's update)."""
    power = start / max(float((fractions @ start).mean()), 1e-30)
    wanted = fractions.sum(axis=0)
    for _ in range(_ROUNDS):
        power = power * wanted / np.maximum(fractions.T @ (fractions @ power), 1e-30)
    return power


def _prior(part: Component) -> float:
    """What natural pictures have: mostly 1 / f, mostly equal in all channels."""
    strength = {Spectrum.FLAT: 0.3, Spectrum.PINK: 0.6, Spectrum.WHITE: 0.02}[part.spectrum]
    return strength if part.channel is None else 0.1 * strength


def _constant(recipe: NoiseRecipe, channel: int | None) -> FloatArray:
    """Zeros, with ones in one channel."""
    array = np.zeros((recipe.channels, *recipe.field_shape))
    if channel is not None:
        array[channel] = 1.0
    return recipe.place(array)


def channels_first(array: FloatArray) -> FloatArray:
    """[batch, channels, ...] as [channels, elements]."""
    return np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)


def _is_affine(node: ir.Node, varying: Sequence[ir.Value]) -> bool:
    if has_trait(node, _OF_ALL):
        return True
    if has_trait(node, Trait.MULTIPLIES):
        return len(varying) == 1
    return has_trait(node, _LINEAR | Trait.WEIGHTS | Trait.DIVIDES) and len(varying) == 1 and node.inputs[0] is varying[0]


def _remembered(node: ir.Node) -> RememberedChannels | None:
    mean, variance = const_array(node.inputs[3]), const_array(node.inputs[4])
    tensor = node.inputs[0]
    if mean is None or variance is None or tensor is None or tensor.is_graph_input():
        return None
    return RememberedChannels(str(tensor.name), mean.astype(np.float64), variance.astype(np.float64))
