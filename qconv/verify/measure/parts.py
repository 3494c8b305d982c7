"""The parts of outputs that a Concat joins: what must be looked at one by one, as the largest hides the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from qconv.model.graph import attr_int, attr_ints
from qconv.model.traits import Trait, has_trait
from qconv.verify.measure.metrics import Array


@dataclass(frozen=True)
class Span:
    """The elements `start` to `stop` along `axis`; an axis of -1 is the last."""

    axis: int
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """The float tensor `tensor`, where an output has it: the spans cut it out one after the other, the outermost first.

    `order` are the axes of the output as the Concat had them, where a Transpose follows it.
    """

    tensor: str
    spans: tuple[Span, ...]
    order: tuple[int, ...] = ()

    def of(self, output: Array) -> Array:
        """The view of an output that is this part."""
        output = output.transpose(self.order) if self.order else output
        for span in self.spans:
            index = [slice(None)] * output.ndim
            index[span.axis] = slice(span.start, span.stop)
            output = output[tuple(index)]
        return output


def output_parts(graph: ir.Graph) -> Mapping[str, tuple[Part, ...]]:
    """Output -> its parts, for outputs that Concats of tensors of known sizes make, one inside the other along any axes."""
    found = {str(value.name): _parts_of_output(value) for value in graph.outputs}
    return {name: parts for name, parts in found.items() if len(parts) > 1}


def _parts_of_output(output: ir.Value) -> tuple[Part, ...]:
    turned, order = _before_transpose(output)
    if order:
        return tuple(replace(part, order=order) for part in _parts(turned, (), only_last=False))
    joined = _before_reshape(output)
    return tuple(_parts(joined, (), only_last=joined is not output))


def _before_transpose(value: ir.Value) -> tuple[ir.Value, tuple[int, ...]]:
    """What a Transpose turns, and how its axes are found again in the result; any other value, and no order."""
    node = value.producer()
    turned = node.inputs[0] if node is not None and has_trait(node, Trait.PERMUTES) else None
    if node is None or turned is None or turned.shape is None:
        return value, ()
    order = attr_ints(node, "perm", range(len(turned.shape))[::-1])
    return turned, tuple(order.index(axis) for axis in range(len(order)))


def _before_reshape(value: ir.Value) -> ir.Value:
    """What a Reshape that keeps the last axis of a Concat along it takes; any other value as it is."""
    node = value.producer()
    joined = node.inputs[0] if node is not None and has_trait(node, Trait.RESHAPES) else None
    if joined is None or joined.shape is None or value.shape is None or not len(joined.shape) or not len(value.shape):
        return value
    size = value.shape[-1]
    kept = isinstance(size, int) and size == joined.shape[-1]
    return joined if kept and _joins(joined.producer(), only_last=True) else value


def _parts(value: ir.Value, spans: tuple[Span, ...], *, only_last: bool) -> Iterator[Part]:
    """The parts of a value, or the value itself where no Concat makes it that can be taken apart."""
    node = value.producer()
    if node is None or not _joins(node, only_last=only_last):
        yield Part(str(value.name), spans)
        return
    axis, start = _axis(node), 0
    for piece in node.inputs:
        assert piece is not None and piece.shape is not None
        stop = start + int(piece.shape[axis])  # type: ignore[arg-type]
        yield from _parts(piece, (*spans, Span(axis, start, stop)), only_last=only_last)
        start = stop


def _joins(node: ir.Node | None, *, only_last: bool) -> bool:
    """Whether a node is a Concat of dynamic tensors whose sizes are known; `only_last`: along the last axis."""
    if node is None or not has_trait(node, Trait.JOINS) or (only_last and _axis(node) != -1):
        return False
    axis = _axis(node)
    for value in node.inputs:
        known = value is not None and value.shape is not None and isinstance(value.shape[axis], int)
        if not known or value is None or value.const_value is not None:
            return False
    return True


def _axis(node: ir.Node) -> int:
    """The axis of a Concat: -1 for the last, which a Reshape may keep."""
    axis = attr_int(node, "axis", 0)
    rank = next((len(value.shape) for value in node.inputs if value is not None and value.shape is not None), 0)
    return -1 if axis == rank - 1 else axis
