"""The error of every layer, and which part of it is the layer's own.

    error       the integer model's tensor, dequantized, against the same tensor of the prepared float model
    own error   the layer alone: its float inputs are quantized with its input parameters, its integer nodes run in exact
                arithmetic, and the result is dequantized and compared; what earlier layers did wrong is not in it

Float values that codes cannot hold are cut as codes are where no reader uses them, as behind a clamp (endings.py).

A float layer may have become several integer nodes: its group reaches back to the codes of other float tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from qconv.data.source import Sample
from qconv.errors import ModelError
from qconv.integer.execution.kernels import compute
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.model.pieces import pieces
from qconv.model.session import open_session
from qconv.model.traits import Trait
from qconv.quant.pixels import Pixels
from qconv.verify.code_use import CodeMeter, CodeUse
from qconv.verify.codes import Codes, final_codes
from qconv.verify.endings import endings, used
from qconv.verify.metrics import Array, Similarity, SimilarityMeter
from qconv.verify.sides import Side, pixels_of, run_session


@dataclass(frozen=True)
class LayerReport:
    """One layer. `own` is None where the layer cannot be run alone, as behind a float node."""

    node: str
    op_type: str
    tensor: str
    similarity: Similarity
    own: Similarity | None
    codes: CodeUse


@dataclass(frozen=True)
class Group:
    """The integer steps of one layer, in order; the codes they start from, and those they end in."""

    steps: tuple[Step, ...]
    inputs: tuple[Codes, ...]
    output: Codes


def layer_reports(
    prepared: ir.Model, integer: ir.Model, program: Program, side: Side, samples: Iterable[Sample]
) -> tuple[LayerReport, ...]:
    """The reports of all layers, worst SQNR first; a handful of samples will do.

    `prepared` is the float graph that was lowered, `integer` the graph of `program`.

    Tensors are fetched in pieces, with a run of both models for each, so that memory does not grow with the depth of a network.
    """
    values = _float_tensors(prepared)
    codes = final_codes(program, frozenset(values))
    network = _Network.of(prepared, integer, program, codes)
    taken, found = list(samples), []
    for piece in pieces(values[tensor] for tensor, item in codes.items() if item.value in network.makers):
        meter = _Meter(network, [str(value.name) for value in piece])
        for sample in taken:
            meter.add(side, sample)
        found += meter.results()
    return tuple(sorted(found, key=lambda layer: layer.similarity.sqnr_db))


def groups(program: Program, codes: Mapping[str, Codes]) -> dict[str, Group | None]:
    """Float tensor -> how it is made from the codes of others; None where something in float is on the way."""
    ends = {item.value: item for item in codes.values()}
    makers = program.makers
    return {tensor: _group(item, ends, makers) for tensor, item in codes.items()}


def _group(output: Codes, ends: Mapping[ir.Value, Codes], makers: Mapping[ir.Value, Step]) -> Group | None:
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
    return Group(tuple(reversed(found)), tuple(inputs.values()), output)


@dataclass(frozen=True)
class _Network:
    """The network: both graphs, the program, and what is known of all layers; `endings` as in endings.py."""

    prepared: ir.Model
    integer: ir.Model
    program: Program
    codes: Mapping[str, Codes]
    groups: Mapping[str, Group]
    endings: Mapping[str, tuple[str, ...]]
    makers: Mapping[ir.Value, Step]
    pixels: Pixels | None

    @classmethod
    def of(cls, prepared: ir.Model, integer: ir.Model, program: Program, codes: Mapping[str, Codes]) -> _Network:
        order = {step: place for place, step in enumerate(program.steps)}
        found = {tensor: _sorted(group, order) for tensor, group in groups(program, codes).items() if group is not None}
        return cls(
            prepared, integer, program, codes, found, endings(prepared.graph), program.makers, pixels_of(program)
        )  # fmt: skip


class _Meter:
    """Runs samples through both graphs with the layers of a piece exposed, and through every group of it alone."""

    def __init__(self, network: _Network, tensors: Sequence[str]) -> None:
        self._network, self._codes = network, network.codes
        self._tensors = tensors
        self._groups = {tensor: network.groups[tensor] for tensor in tensors if tensor in network.groups}
        read = [item.tensor for group in self._groups.values() for item in group.inputs]
        ends = [end for tensor in tensors for end in network.endings.get(tensor, ())]
        self._reals = list(dict.fromkeys((*tensors, *read, *ends)))
        self._float = open_session(network.prepared, outputs=self._reals)
        self._integer = open_session(network.integer, outputs=[str(self._codes[tensor].value.name) for tensor in tensors])
        self._errors = {tensor: SimilarityMeter() for tensor in tensors}
        self._own = {tensor: SimilarityMeter() for tensor in self._groups}
        self._used = {tensor: CodeMeter(self._codes[tensor].lowest, self._codes[tensor].highest) for tensor in tensors}

    def add(self, side: Side, sample: Sample) -> None:
        """One more sample; `side` knows how the integer model is fed."""
        arrays = run_session(self._float, self._reals, dict(sample.feeds), "the prepared model")
        reals = dict(zip(self._reals, arrays, strict=True))
        wanted = [str(self._codes[tensor].value.name) for tensor in self._tensors]
        found = run_session(self._integer, wanted, side.feeds(sample.feeds), "the integer model")
        for tensor, array in zip(self._tensors, found, strict=True):
            self._add_error(self._errors[tensor], self._codes[tensor], array, reals)
            self._used[tensor].add(array)
        for tensor, group in list(self._groups.items()):
            self._add_own(tensor, group, reals)

    def _add_own(self, tensor: str, group: Group, reals: Mapping[str, Array]) -> None:
        try:
            codes = self._run(group, reals)
        except ModelError:  # a node outside the integer language: its own error is not known
            del self._groups[tensor], self._own[tensor]
            return
        self._add_error(self._own[tensor], group.output, codes, reals)

    def _add_error(self, meter: SimilarityMeter, codes: Codes, found: Array, reals: Mapping[str, Array]) -> None:
        reference = reals[codes.tensor]
        ends = [reals[end] for end in self._network.endings.get(codes.tensor, ())]
        if reference.shape != found.shape:
            return  # the size follows from values, as of the boxes that are kept
        meter.add(used(reference, codes.span, ends), _real(codes, found, reference))

    def _run(self, group: Group, reals: Mapping[str, Array]) -> Array:
        values: dict[ir.Value, Array] = {item.value: item.quantize(self._real(item, reals)) for item in group.inputs}
        if group.steps[-1].traits & Trait.QUANTIZES:
            return group.output.quantize(reals[group.output.tensor])
        for step in group.steps:
            arrays = [None if a is None else values.get(a.value, a.constant) for a in step.arguments]
            values.update(zip((write.value for write in step.writes), compute(step, arrays), strict=False))
        return values[group.output.value]

    def _real(self, item: Codes, reals: Mapping[str, Array]) -> Array:
        """What the codes of a tensor stand for: pixels, where an input takes those."""
        pixels, real = self._network.pixels, reals[item.tensor]
        return real if pixels is None or item.value in self._network.makers else pixels.of_reals(real)

    def results(self) -> list[LayerReport]:
        """The figures of the piece, in the order of the graph."""
        reports = []
        for tensor in self._tensors:
            own = self._own[tensor].result() if tensor in self._own else None
            step = self._network.makers[self._codes[tensor].value]
            source = step.source or step.name
            main = self._network.program.find(source) or step  # the layer itself, where a Clip or a Reshape ends it
            reports.append(LayerReport(source, main.op, tensor, self._errors[tensor].result(), own, self._used[tensor].result()))
        return reports


def _real(codes: Codes, array: Array, reference: Array) -> Array:
    """Dequantized, without the channels that lowering added behind those of the float tensor for the sake of speed."""
    return codes.dequantize(array, reference.shape[1] if reference.ndim > 1 else None)


def _sorted(group: Group, order: Mapping[Step, int]) -> Group:
    return Group(tuple(sorted(group.steps, key=order.__getitem__)), group.inputs, group.output)


def _float_tensors(prepared: ir.Model) -> dict[str, ir.Value]:
    values = (*prepared.graph.inputs, *(value for node in prepared.graph for value in node.outputs))
    return {str(value.name): value for value in values if value.name and value.dtype in (ir.DataType.FLOAT, None)}
