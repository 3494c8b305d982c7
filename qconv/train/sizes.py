"""Sizes of tensors as Python's numbers: what leads from a Shape to the operator that takes the sizes is no tensor in torch.

A tensor of sizes is a list of numbers, one without axes a number; both may be symbols while a network is exported.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor

from qconv.errors import ModelError
from qconv.model.graph import attr_int

Sizes = Any  # a number, or a list of numbers


def shape_of(x: Tensor, start: int, end: int | None) -> list[int]:
    """The sizes of the axes from `start` on."""
    return list(x.shape)[start:end]


def counted(start: int, limit: int, delta: int) -> Tensor:
    """Whole numbers up to a limit, as Range gives them."""
    return torch.arange(start, limit, delta)


def in_reals(sizes: Sizes) -> Tensor:
    """Sizes that are reckoned with further, as the root of a width that scores are divided by."""
    return torch.tensor(sizes, dtype=torch.float32)


def expanded(x: Tensor, sizes: list[int]) -> Tensor:
    """A tensor repeated where it has one element along an axis and the sizes have more."""
    rank = max(x.ndim, len(sizes))
    own, asked = [1] * (rank - x.ndim) + list(x.shape), [1] * (rank - len(sizes)) + list(sizes)
    return x.expand([mine if isinstance(size, int) and size == 1 else size for mine, size in zip(own, asked, strict=True)])


def _picked(sizes: list[int], index: Sizes) -> Sizes:
    return [sizes[i] for i in index] if isinstance(index, list) else sizes[index]


def _joined(*parts: Sizes) -> list[int]:
    return [size for part in parts for size in part]


def _listed(size: Sizes, axes: list[int]) -> list[int]:
    return size if isinstance(size, list) else [size]


def _single(sizes: list[int], axes: list[int] | None = None) -> int:
    return sizes[0]


def _sliced(sizes: list[int], starts: list[int], ends: list[int], axes: Any = None, steps: Any = None) -> list[int]:
    return sizes[starts[0] : min(ends[0], 1 << 31) : 1 if steps is None else steps[0]]


def _same(sizes: Sizes, *others: Any) -> Sizes:
    return sizes


def _by_element(function: Callable[..., Any]) -> Callable[..., Sizes]:
    def applied(*operands: Sizes) -> Sizes:
        length = max((len(x) for x in operands if isinstance(x, list)), default=None)
        if length is None:
            return function(*operands)
        full = [(x * length if len(x) == 1 else x) if isinstance(x, list) else [x] * length for x in operands]
        return [function(*items) for items in zip(*full, strict=True)]

    return applied


def _chosen(condition: bool, a: int, b: int) -> int:
    return a if condition else b


def size_call(node: ir.Node) -> tuple[Callable[..., Any], bool]:
    """The function of sizes that a node becomes, and whether it gives sizes again. Raises ModelError where there is none."""
    found = _FUNCTIONS.get(node.op_type)
    if found is None or node.domain not in ("", "ai.onnx"):
        raise ModelError(
            f"node {node.name} ({node.op_type}) computes with sizes in a way that has no counterpart in torch here; train the "
            "network from its source, or give its free sizes numbers"
        )
    if node.op_type == "Cast" and ir.DataType(attr_int(node, "to", 0)).is_floating_point():
        found = in_reals
    return found, found not in (counted, in_reals)


def shape_call(node: ir.Node) -> tuple[int, int | None]:
    """From which axis to which a Shape gives the sizes."""
    return attr_int(node, "start", 0), attr_int(node, "end", 0) if "end" in node.attributes else None


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Add": _by_element(operator.add),
    "Sub": _by_element(operator.sub),
    "Mul": _by_element(operator.mul),
    "Div": _by_element(operator.floordiv),
    "Equal": _by_element(operator.eq),
    "Where": _by_element(_chosen),
    "Cast": _same,
    "Identity": _same,
    "Reshape": _same,
    "Gather": _picked,
    "Concat": _joined,
    "Unsqueeze": _listed,
    "Squeeze": _single,
    "Slice": _sliced,
    "Range": counted,
}
