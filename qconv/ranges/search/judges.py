"""What is compared besides the outputs of a network, when a simulation of it is judged on few samples.

A Concat of boxes and scores is as good as its largest part, so that the parts are compared one by one. And the probabilities that
end a classifier say little: those of samples that are told apart surely hardly move, and a single doubtful one makes up most of
the noise. What they are made of is compared as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait

_BOUNDED = Trait.PROBABILITIES | Trait.BOUNDS


def judges_of(graph: ir.Graph) -> list[str]:
    """The names of the tensors that are compared besides the outputs."""
    found = dict.fromkeys(value for output in graph.outputs for value in _behind(output))
    return [str(value.name) for value in found if not value.is_graph_output()]


def with_outputs(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """The model with further outputs: a copy, or itself where there are none."""
    if not names:
        return model
    copy = model.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.extend(values[name] for name in names)
    return copy


def _behind(value: ir.Value) -> Iterator[ir.Value]:
    node = value.producer()
    if node is None or not is_float(value):
        return
    if has_trait(node, Trait.RESHAPES | Trait.PERMUTES):
        yield from _of(node.inputs[0], itself=False)
    elif has_trait(node, Trait.JOINS):
        for piece in node.inputs:
            yield from _of(piece, itself=True)
    elif has_trait(node, _BOUNDED):
        x = node.inputs[0]
        if x is not None and _is_computed(x):
            yield x


def _of(value: ir.Value | None, *, itself: bool) -> Iterator[ir.Value]:
    if value is None or not _is_computed(value):
        return
    if itself:
        yield value
    yield from _behind(value)


def _is_computed(value: ir.Value) -> bool:
    return is_float(value) and const_array(value) is None and value.producer() is not None
