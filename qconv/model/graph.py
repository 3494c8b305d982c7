"""Small questions about values and nodes that every stage asks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

_WRITTEN_AS = "written_as"
_LARGE = 1024  # bytes of a constant that is worth being stored once


def remember_form(node: ir.Node, form: str | None = None) -> None:
    """Keeps the op type under which a person knows a node, before preparation turns it into another; or the name `form`."""
    node.meta.setdefault(_WRITTEN_AS, form or node.op_type)


def written_as(node: ir.Node) -> str:
    """The op type of a node in the model as it was written; of a part of a node, the name of that."""
    return str(node.meta.get(_WRITTEN_AS, node.op_type))


def const_array(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of an initializer, mapped rather than copied where the file is; None for anything else."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return value.const_value.numpy()


def shared_arrays(graph: ir.Graph) -> frozenset[str]:
    """Names of the large float initializers that equal another one: weights that a model uses in several places."""
    places: dict[tuple[tuple[int, ...], bytes], list[str]] = {}
    for name, value in graph.initializers.items():
        array = const_array(value)
        if array is not None and is_float(value) and array.nbytes >= _LARGE:
            places.setdefault((array.shape, hashlib.sha256(array.tobytes()).digest()), []).append(name)
    return frozenset(name for names in places.values() if len(names) > 1 for name in names)


def is_float(value: ir.Value) -> bool:
    """Whether a value is a float32 tensor, and no sequence of such."""
    return value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType)


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The only node that reads a value; None where there are several, or none, or where it is a graph output."""
    uses = value.uses()
    if value.is_graph_output() or len(uses) != 1:
        return None
    return next(iter(uses)).node


def attr_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or its default."""
    attr = node.attributes.get(name)
    return default if attr is None else attr.as_int()


def attr_ints(node: ir.Node, name: str, default: Sequence[int]) -> list[int]:
    """A list of integers, or its default."""
    attr = node.attributes.get(name)
    return list(default) if attr is None else list(attr.as_ints())


def attr_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default."""
    attr = node.attributes.get(name)
    return default if attr is None else attr.as_float()


def attr_str(node: ir.Node, name: str, default: str) -> str:
    """A string attribute, or its default."""
    attr = node.attributes.get(name)
    return default if attr is None else attr.as_string()
