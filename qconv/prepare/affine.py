"""Chains of nodes that compute y = scale * x + shift, one scale and shift by channel.

    BatchNormalization    scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale
    x * c, x / c          scale = c, 1 / c
    x + c, x - c, c - x   shift = c, -c, c                  (scale = -1 in the last)
    one after another     scale = s2 * s1, shift = s2 * t1 + t2

All in float64; the arrays are rounded to float32 once, where they enter the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.given import is_given
from qconv.model.graph import attr_float, attr_int, const_array, is_float, sole_consumer

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """y = scale * x + shift; both arrays are [C], or [1] where `axis` is None: the same for every element."""

    scale: Doubles
    shift: Doubles
    axis: int | None

    def then(self, outer: Affine) -> Affine | None:
        """outer(self(x)), or None where the two run along different axes."""
        if self.axis is not None and outer.axis is not None and self.axis != outer.axis:
            return None
        axis = self.axis if self.axis is not None else outer.axis
        return Affine(outer.scale * self.scale, outer.scale * self.shift + outer.shift, axis)

    @property
    def scales(self) -> bool:
        """Whether any scale differs from 1."""
        return bool(np.any(self.scale != 1))

    @property
    def shifts(self) -> bool:
        """Whether any shift differs from 0."""
        return bool(np.any(self.shift != 0))

    def is_finite(self) -> bool:
        """Whether float32 can hold the map."""
        with np.errstate(over="ignore"):
            return bool(np.isfinite(self.scale.astype(np.float32)).all() and np.isfinite(self.shift.astype(np.float32)).all())


@dataclass(frozen=True)
class Chain:
    """Nodes in a row, each the only user of the one before, and what they compute together.

    A tensor whose parameters are given ends a chain.
    """

    nodes: tuple[ir.Node, ...]
    source: ir.Value
    affine: Affine

    @property
    def target(self) -> ir.Value:
        """The value that the last node makes."""
        return self.nodes[-1].outputs[0]


def affine_chains(graph: ir.Graph) -> Iterator[Chain]:
    """The longest chains of a graph, in its order; the one last yielded may be edited away."""
    seen: set[ir.Node] = set()
    for node in tuple(graph):
        if node in seen or (step := affine_of(node)) is None:
            continue
        chain = _extend(Chain((node,), *step))
        seen.update(chain.nodes)
        if chain.affine.is_finite():
            yield chain


def _extend(chain: Chain) -> Chain:
    user = None if is_given(chain.target) else sole_consumer(chain.target)
    step = affine_of(user) if user is not None and user.graph is chain.nodes[0].graph else None
    if user is None or step is None or step[0] is not chain.target or (affine := chain.affine.then(step[1])) is None:
        return chain
    return _extend(Chain((*chain.nodes, user), chain.source, affine))


def affine_of(node: ir.Node) -> tuple[ir.Value, Affine] | None:
    """The value that a node maps and how, or None if it is no affine map by channel."""
    if node.domain:
        return None
    if node.op_type == "BatchNormalization":
        return _of_batchnorm(node)
    if node.op_type in ("Mul", "Div", "Add", "Sub"):
        return _of_arithmetic(node)
    return None


def _of_batchnorm(node: ir.Node) -> tuple[ir.Value, Affine] | None:
    x = node.inputs[0]
    constants = [const_array(value) for value in node.inputs[1:5]]
    if x is None or not is_float(x) or attr_int(node, "training_mode", 0) or any(array is None for array in constants):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in constants)
    with np.errstate(invalid="ignore", divide="ignore"):  # a variance below 0 is no number, which no pass takes
        scale = gamma / np.sqrt(variance + attr_float(node, "epsilon", 1e-5))
    return x, Affine(scale, beta - mean * scale, axis=1)


def _of_arithmetic(node: ir.Node) -> tuple[ir.Value, Affine] | None:
    x, constant, constant_first = constant_operand(node)
    if x is None or constant is None or (axes := _axes_along(x, constant)) is None:
        return None
    axis = axes[0] if axes else None
    c = constant.astype(np.float64).reshape(-1)
    one, zero = np.ones_like(c), np.zeros_like(c)
    match node.op_type, constant_first:
        case "Mul", _:
            return x, Affine(c, zero, axis)
        case "Div", False if np.all(c != 0):
            return x, Affine(1 / c, zero, axis)
        case "Add", _:
            return x, Affine(one, c, axis)
        case "Sub", False:
            return x, Affine(one, -c, axis)
        case "Sub", True:
            return x, Affine(-one, c, axis)
    return None


def constant_operand(node: ir.Node) -> tuple[ir.Value | None, NDArray[np.floating] | None, bool]:
    """The float32 value, the finite constant, and whether the constant comes first, of a binary node; None where absent."""
    for index in (1, 0):
        x, constant = node.inputs[1 - index], const_array(node.inputs[index])
        if x is not None and constant is not None and is_float(x) and const_array(x) is None and np.isfinite(constant).all():
            return x, constant, index == 0
    return None, None, False


def _axes_along(x: ir.Value, constant: NDArray[np.floating]) -> list[int] | None:
    """The axis of x that a constant runs along, in a list; [] for a scalar, None where it changes x in any other way."""
    if x.shape is None or constant.ndim > len(x.shape):
        return None
    first = len(x.shape) - constant.ndim
    axes = [axis for axis, size in enumerate(constant.shape, first) if size != 1]
    fits = len(axes) <= 1 and all(x.shape[axis] == constant.shape[axis - first] for axis in axes)
    return axes if fits else None
