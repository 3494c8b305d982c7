"""Layers as groups of integer steps: from the codes of some float tensors to those of another; and each of them run alone.

A float layer may have become several integer nodes: its group reaches back to the codes of other float tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnxruntime as ort

from qconv.integer.execution.kernels import is_computable
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.stages import Cuttable, reads_of, run_session
from qconv.model.traits import Trait
from qconv.verify.measure.codes import Codes
from qconv.verify.measure.metrics import Array


@dataclass(frozen=True)
class Group:
    """The integer steps of one layer, in order; the codes they start from, and those they end in."""

    steps: tuple[Step, ...]
    inputs: tuple[Codes, ...]
    output: Codes

    @property
    def quantizes(self) -> bool:
        """Whether it makes the codes of reals."""
        return bool(self.steps[-1].traits & Trait.QUANTIZES)

    @property
    def runs(self) -> bool:
        """Whether it is of the integer language and needs nothing but the codes of `inputs`."""
        return all(is_computable(step) and _is_closed(step.node) for step in self.steps)


def groups(program: Program, codes: Mapping[str, Codes]) -> dict[str, Group | None]:
    """Float tensor -> how it is made from the codes of others; None where something in float is on the way."""
    ends = {item.value: item for item in codes.values()}
    makers = program.makers
    order = {step: place for place, step in enumerate(program.steps)}
    return {tensor: _group(item, ends, makers, order) for tensor, item in codes.items()}


def _group(
    output: Codes, ends: Mapping[ir.Value, Codes], makers: Mapping[ir.Value, Step], order: Mapping[Step, int]
) -> Group | None:
    last = makers.get(output.value)
    if last is None:
        return None  # an integer input of the graph
    found: dict[Step, None] = {}
    inputs: dict[ir.Value, Codes] = {}
    pending = [last]
    while pending:
        step = pending.pop()
        if step in found:
            continue
        found[step] = None
        if step.traits & Trait.QUANTIZES and step is last:
            continue  # it starts from the float tensor itself
        for operand in step.reads:
            if operand.constant is not None:
                continue
            if operand.value in ends and operand.value is not output.value:
                inputs[operand.value] = ends[operand.value]
            elif operand.value not in makers:
                return None
            else:
                pending.append(makers[operand.value])
    if any(step.traits & (Trait.QUANTIZES | Trait.DEQUANTIZES) for step in found if step is not last):
        return None
    return Group(tuple(sorted(found, key=order.__getitem__)), tuple(inputs.values()), output)


class Alone:
    """The integer network cut at every tensor of codes: each group reads codes that it is given."""

    def __init__(self, integer: ir.Model, found: Iterable[Group]) -> None:
        model = integer.clone()
        names, values = Names(model.graph), {str(value.name): value for value in _values(model.graph)}
        self._given: dict[str, str] = {}
        for name in dict.fromkeys(str(item.value.name) for group in found for item in group.inputs):
            given = ir.Value(name=names.fresh(f"{name}_given"), type=values[name].type)
            values[name].replace_all_uses_with(given)
            model.graph.inputs.append(given)
            self._given[name] = str(given.name)
        self._network = Cuttable(model)
        self._sessions: dict[tuple[str, ...], ort.InferenceSession] = {}

    def run(self, due: Sequence[Group], codes: Mapping[str, Array]) -> dict[str, Array]:
        """The codes that groups end in, by their float tensors; `codes` are those of the float tensors that they read."""
        if not due:
            return {}
        outputs = tuple(str(group.output.value.name) for group in due)
        given = {self._given[str(item.value.name)]: codes[item.tensor] for group in due for item in group.inputs}
        if outputs not in self._sessions:
            self._sessions[outputs] = self._network.session(given, outputs)
        found = run_session(self._sessions[outputs], outputs, given, "a layer of the integer model cannot run alone")
        return {group.output.tensor: found[name] for group, name in zip(due, outputs, strict=True)}


def _is_closed(node: ir.Node) -> bool:
    """Whether subgraphs of a node read nothing but constants of the graph around them."""
    return all(value in node.inputs or const_array(value) is not None for value in reads_of(node))


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *(value for node in graph for value in node.outputs)]
