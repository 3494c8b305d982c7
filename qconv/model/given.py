"""Marks on tensors whose parameters are given, as by a quantized model: a pass may rename them, and must not undo them.

A mark is the name that the tensor had when it was marked. What replaces a tensor takes its mark over.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

_KEY = "qconv.given"


def mark_given(values: Iterable[ir.Value]) -> None:
    """Marks tensors, each with its present name."""
    for value in values:
        value.meta[_KEY] = str(value.name)


def is_given(value: ir.Value | None) -> bool:
    """Whether the parameters of a tensor are given."""
    return value is not None and _KEY in value.meta


def hand_on(old: ir.Value, new: ir.Value) -> None:
    """Gives the mark of a tensor to the one that has its values from now on."""
    if is_given(old):
        new.meta[_KEY] = old.meta[_KEY]


def given_names(graph: ir.Graph) -> dict[str, str]:
    """The present name of each marked tensor by the name that it was marked with."""
    values = (*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs))
    return {value.meta[_KEY]: str(value.name) for value in values if is_given(value)}
