"""The error of every layer, and which part of it is the layer's own.

    error       the integer model's tensor, dequantized, against the same tensor of the prepared float model
    own error   the layer alone: its float inputs are quantized with its input parameters, its integer nodes run on them,
                and the result is dequantized and compared; what earlier layers did wrong is not in it

Float values that codes cannot hold are cut as codes are where no reader uses them, as behind a clamp, or tells them apart
(endings.py); nor does what a Softmax gives no share of count (ops/floors.py).

Both networks run piece by piece, each node once for a sample, and tensors are dropped after the last layer that wants them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import onnx_ir as ir

from qconv.data.source import Sample
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.model.pieces import pieces
from qconv.model.stages import Walk
from qconv.model.traits import TRAITS, Trait
from qconv.ops.floors import Floors
from qconv.quant.pixels import Pixels
from qconv.verify.layers.groups import Alone, Group, groups
from qconv.verify.layers.meter import FloatTensor, LayerMeter
from qconv.verify.measure.code_use import CodeUse
from qconv.verify.measure.codes import Codes, final_codes
from qconv.verify.measure.endings import Extremes, endings, extremes, told_apart
from qconv.verify.measure.metrics import Array, Similarity
from qconv.verify.measure.sides import Side, pixels_of

_CARRIES = Trait.MOVES | Trait.CASTS  # of the node that ends a form of many nodes


@dataclass(frozen=True)
class LayerReport:
    """One layer. `own` is None where the layer cannot be run alone, as behind a float node.

    `op_type` is the integer operator, or the float one where many integer nodes took its place, as for a table.
    """

    node: str
    op_type: str
    tensor: str
    similarity: Similarity
    own: Similarity | None
    codes: CodeUse

    @property
    def moves(self) -> bool:
        """Whether it only moves what it reads."""
        return bool(TRAITS.get(("", self.op_type), Trait.NONE) & Trait.MOVES)


@dataclass(frozen=True)
class Layers:
    """The reports of all layers, worst SQNR first, and how many samples they are of."""

    reports: tuple[LayerReport, ...]
    samples: int


def layer_reports(
    prepared: ir.Model, integer: ir.Model, program: Program, side: Side, samples: Iterable[Sample],
    threads: int = 0, elements: float = math.inf,
) -> Layers:  # fmt: skip
    """Looks at all layers; a handful of samples will do, and one where it has many `elements` in all its tensors.

    `prepared` is the float graph that was lowered, `integer` the graph of `program`; `side` knows how the integer model is fed.
    """
    network = _Network(prepared, program)
    if not network.layers:
        return Layers((), 0)
    walk = _SideBySide(network, prepared, integer, side, threads)
    count = spent = 0
    for sample in samples:
        if count and spent * (count + 1) / count > elements:
            break
        spent += walk.add(sample)
        count += 1
    return Layers(tuple(sorted(network.results(), key=lambda layer: layer.similarity.sqnr_db)), count)


@dataclass(frozen=True)
class _Layer:
    """A float tensor that has codes, how they are made, where its values end (endings.py), and what is measured of it."""

    codes: Codes
    value: ir.Value
    group: Group | None
    endings: tuple[str, ...]
    meter: LayerMeter

    @property
    def tensor(self) -> str:
        """The float tensor."""
        return self.codes.tensor

    @property
    def name(self) -> str:
        """The tensor of codes."""
        return str(self.codes.value.name)

    @property
    def inputs(self) -> tuple[Codes, ...]:
        return () if self.group is None else self.group.inputs

    @property
    def read(self) -> tuple[str, ...]:
        """The float tensors whose elements it takes to judge it."""
        return (self.tensor, *(item.tensor for item in self.inputs))

    def held_by(self, reals: Extremes | None) -> bool:
        """Whether its codes hold everything between these extremes, so that nobody need know where its values end."""
        low, high = self.codes.span
        return reals is None or low <= reals[0] <= reals[1] <= high


class _Network:
    """All layers of a program, and the float tensors that they want, in pieces."""

    def __init__(self, prepared: ir.Model, program: Program) -> None:
        tensors = _float_tensors(prepared)
        codes = final_codes(program, frozenset(tensors))
        self._program, self._makers = program, program.makers
        self.floors = Floors.of(prepared.graph)
        ends = endings(prepared.graph)
        groups_alone = {tensor: group for tensor, group in groups(program, codes).items() if group is not None and group.runs}
        self.layers = [
            _Layer(
                item,
                tensors[tensor],
                groups_alone.get(tensor),
                ends.get(tensor, ()),
                LayerMeter(item, alone=tensor in groups_alone),
            )
            for tensor, item in codes.items()
            if item.value in self._makers
        ]
        wanted = {name for layer in self.layers for name in (*layer.read, *layer.endings)}
        self.pieces = [[str(value.name) for value in piece] for piece in pieces(tensors[t] for t in tensors if t in wanted)]
        place = {name: number for number, piece in enumerate(self.pieces) for name in piece}
        self.complete = [
            [layer for layer in self.layers if max(place[name] for name in layer.read) == number]
            for number in range(len(self.pieces))
        ]
        self.pixels: Pixels | None = pixels_of(program)

    def made(self, item: Codes) -> bool:
        """Whether codes are made by a step; those of an input that takes pixels stand for other values than the float model's."""
        return item.value in self._makers

    def results(self) -> list[LayerReport]:
        """The figures of all layers, in the order of the graph."""
        return [self._result(layer) for layer in self.layers]

    def _result(self, layer: _Layer) -> LayerReport:
        step: Step = self._makers[layer.codes.value]
        source = step.source or step.name
        main = self._program.find(source) or step  # the layer itself, where a Clip or a Reshape ends it
        error, own, used = layer.meter.results()
        real = layer.value.producer()
        op_type = main.op if real is None or not main.traits & _CARRIES else real.op_type
        return LayerReport(source, op_type, layer.tensor, error, own, used)


class _SideBySide:
    """Runs samples through both networks, and every group of a layer alone; all sessions stay open."""

    def __init__(self, network: _Network, prepared: ir.Model, integer: ir.Model, side: Side, threads: int) -> None:
        self._network, self._side = network, side
        self._inputs = {item.tensor: item for layer in network.layers for item in layer.inputs}
        names = {layer.tensor: layer.name for layer in network.layers}
        coded = [[names[tensor] for tensor in piece if tensor in names] for piece in network.pieces]
        self._float = Walk(prepared, network.pieces, "the prepared model cannot run on the samples", threads=threads)
        self._integer = Walk(integer, coded, "the integer model cannot run on the samples", threads=threads)
        self._alone = Alone(integer, [layer.group for layer in network.layers if layer.group is not None])
        self._pool = ThreadPoolExecutor(threads or os.cpu_count())

    def add(self, sample: Sample) -> int:
        """One more sample; returns how many elements its tensors have."""
        held = _Held(self._network.floors)
        walks = self._float.run(sample.feeds), self._integer.run(self._side.feeds(sample.feeds))
        pending: list[_Layer] = []
        for number, complete in enumerate(self._network.complete):
            self._take(next(walks[0]), held)
            held.found |= next(walks[1])
            pending += complete
            due = [layer for layer in pending if held.suffices(layer)]
            self._judge(due, held)
            pending = [layer for layer in pending if layer not in due]
            held.keep([*pending, *(layer for later in self._network.complete[number + 1 :] for layer in later)])
        return held.elements

    def _take(self, reals: dict[str, Array], held: _Held) -> None:
        """Holds float tensors and what groups read instead of them."""
        for tensor, codes in zip(reals, self._pool.map(self._quantized, reals, reals.values()), strict=True):
            held.take(tensor, reals[tensor], codes)

    def _quantized(self, tensor: str, real: Array) -> Array | None:
        """The codes that groups read instead of a float tensor: those of its pixels, where an input takes such."""
        item = self._inputs.get(tensor)
        if item is None:
            return None
        pixels = self._network.pixels
        return item.quantize(real if pixels is None or self._network.made(item) else pixels.of_reals(real))

    def _judge(self, due: Sequence[_Layer], held: _Held) -> None:
        own = self._alone.run([g for layer in due if (g := layer.group) is not None and not g.quantizes], held.codes)

        def judge(layer: _Layer) -> None:
            real = held.float_tensor(layer)
            quantizes = layer.group is not None and layer.group.quantizes
            codes = layer.codes.quantize(real.array) if quantizes else own.get(layer.tensor)
            layer.meter.add(real, held.found[layer.name], codes)

        list(self._pool.map(judge, due))


class _Held:
    """What is there of one sample: reals and what they are quantized to, by float tensor, and the codes of the integer model."""

    def __init__(self, floors: Floors) -> None:
        self._floors = floors
        self.reals: dict[str, Array] = {}
        self.codes: dict[str, Array] = {}
        self.found: dict[str, Array] = {}
        self.extremes: dict[str, Extremes | None] = {}
        self.elements = 0  # of all float tensors so far

    def take(self, tensor: str, real: Array, codes: Array | None) -> None:
        """A float tensor, and what it is quantized to where a group reads it."""
        self.reals[tensor], self.extremes[tensor] = real, extremes(real)
        self.elements += real.size
        if codes is not None:
            self.codes[tensor] = codes

    def suffices(self, layer: _Layer) -> bool:
        """Whether a layer that is complete can be judged: what comes out in the end is asked for where codes saturate alone."""
        return layer.held_by(self.extremes[layer.tensor]) or all(end in self.extremes for end in layer.endings)

    def float_tensor(self, layer: _Layer) -> FloatTensor:
        """The float tensor of a layer that can be judged."""
        extremes = self.extremes[layer.tensor]
        ends = () if layer.held_by(extremes) else [found for end in layer.endings if (found := self.extremes[end]) is not None]
        real = self.reals[layer.tensor]
        floor = self._floors.below(layer.tensor, real, layer.codes.span[0])
        return FloatTensor(real, extremes, ends, told_apart(layer.value, extremes), floor)

    def keep(self, later: Sequence[_Layer]) -> None:
        """Drops what none of these layers wants."""
        self.reals = _chosen(self.reals, (layer.tensor for layer in later))
        self.found = _chosen(self.found, (layer.name for layer in later))
        self.codes = _chosen(self.codes, (item.tensor for layer in later for item in layer.inputs))


def _chosen(arrays: dict[str, Array], names: Iterable[str]) -> dict[str, Array]:
    return {name: arrays[name] for name in dict.fromkeys(names) if name in arrays}


def _float_tensors(prepared: ir.Model) -> dict[str, ir.Value]:
    values = (*prepared.graph.inputs, *(value for node in prepared.graph for value in node.outputs))
    return {str(value.name): value for value in values if value.name and value.dtype in (ir.DataType.FLOAT, None)}
