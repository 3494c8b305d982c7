"""A network as units: a layer of the float model with the integer nodes that it became, or a node in float."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qconv.integer.language.audit import Audit
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.quant.types import QuantParams
from qconv.report.spread import Spread, spread_of
from qconv.statistics.summary import Summary
from qconv.verify.layers.reports import LayerReport

_BARS = 32


@dataclass(frozen=True)
class Unit:
    """One box of the picture; `facts` are pairs of a word and a value, `weights` counts weight codes in parts of a range."""

    number: int
    name: str
    ops: str
    in_float: str | None
    layer: LayerReport | None
    facts: tuple[tuple[str, str], ...]
    weights: tuple[int, ...]
    weight_ends: tuple[int, int]
    spread: Spread | None = None

    @property
    def kind(self) -> str:
        """What colours it: float, unknown, or the part of the error that is its own."""
        if self.in_float is not None:
            return "float"
        if self.layer is None:
            return "plain"
        return grade(self.layer.similarity.sqnr_db)

    @property
    def inherits(self) -> bool:
        """Whether most of its error comes from the layers before it."""
        own = None if self.layer is None else self.layer.own
        return own is not None and self.layer is not None and own.sqnr_db > self.layer.similarity.sqnr_db + 3.0


@dataclass(frozen=True)
class Network:
    """All units in the order of the graph, and which feeds which."""

    units: tuple[Unit, ...]
    edges: tuple[tuple[int, int], ...]


def grade(sqnr_db: float) -> str:
    """A word for a signal-to-noise ratio: good from 30 dB, fair from 20, poor from 15, lost below."""
    return next((word for word, least in (("good", 30.0), ("fair", 20.0), ("poor", 15.0)) if sqnr_db >= least), "lost")


def network(
    program: Program, audit: Audit, layers: Iterable[LayerReport], tensors: Mapping[str, Summary] | None = None
) -> Network:
    """The units of an integer model with what verification found of them, and what calibration saw of their tensors."""
    float_nodes = {node.name: f"{node.op_type}: {node.reason}" for node in audit.float_nodes}
    found = {layer.node: layer for layer in layers}
    groups: dict[str, list[Step]] = {}
    for step in program.steps:
        groups.setdefault(step.source or step.name, []).append(step)
    number = {name: place for place, name in enumerate(groups)}
    makers = {operand.value: number[name] for name, steps in groups.items() for step in steps for operand in step.writes}
    edges = dict.fromkeys(
        (makers[read.value], number[name])
        for name, steps in groups.items()
        for step in steps
        for read in step.reads
        if read.value in makers and makers[read.value] != number[name]
    )
    units = tuple(
        replace(_unit(number[name], name, steps, float_nodes, found.get(name)), spread=_spread(steps, tensors or {}))
        for name, steps in groups.items()
    )
    return Network(units, tuple(edges))


def _spread(steps: Iterable[Step], tensors: Mapping[str, Summary]) -> Spread | None:
    """The spread of the last tensor that the steps of a unit write and calibration has seen."""
    written = [operand for step in steps for operand in step.writes if operand.tensor in tensors]
    return spread_of(tensors[str(written[-1].tensor)], written[-1].params) if written else None


def _unit(number: int, name: str, steps: list[Step], float_nodes: Mapping[str, str], layer: LayerReport | None) -> Unit:
    in_float = next((float_nodes[step.name] for step in steps if step.name in float_nodes), None)
    main = next((step for step in steps if step.name == name), steps[0])
    weight = next((array for read in main.reads[1:] if (array := read.constant) is not None and array.ndim > 1), None)
    counts, ends = ((), (0, 0)) if weight is None or weight.dtype.kind not in "iu" else _bars(weight)
    facts = tuple(fact for step in steps for fact in _facts(step, named=len(steps) > 1))
    return Unit(number, name, " + ".join(dict.fromkeys(step.op for step in steps)), in_float, layer, facts, counts, ends)


def _bars(codes: np.ndarray) -> tuple[tuple[int, ...], tuple[int, int]]:
    """How often weight codes fall into equal parts of the range that they take."""
    bound = max(int(np.abs(codes.astype(np.int32)).max(initial=1)), 1)
    counts, _ = np.histogram(codes, bins=min(_BARS, 2 * bound + 1), range=(-bound - 0.5, bound + 0.5))
    return tuple(int(count) for count in counts), (-bound, bound)


def _facts(step: Step, *, named: bool) -> Iterator[tuple[str, str]]:
    """What a step computes with."""
    prefix = f"{step.name}: " if named else ""
    params = step.writes[0].params if step.writes else None
    if params is not None:
        yield f"{prefix}range of the output", _range(params)
        yield f"{prefix}S, Z", f"{_numbers(params.scale)}, {_numbers(params.zero_point)}"
    for multiplier in step.multipliers:
        yield f"{prefix}multiplier M0, n", f"{_numbers(multiplier.m0)}, {_numbers(multiplier.n)}"
    certificate = step.certificate
    if certificate is not None:
        proved = "all" if certificate.proved == certificate.scales else f"{certificate.proved} of {certificate.scales}"
        yield f"{prefix}accumulators", f"{certificate.low:,} to {certificate.high:,}"
        yield f"{prefix}proved equal to onnxruntime", proved + (f" ({certificate.why})" if certificate.why else "")
    shapes = [read.value.shape for read in step.reads[1:] if read.constant is not None and read.value.shape is not None]
    if shapes:
        yield f"{prefix}weight", " x ".join(str(size) for size in shapes[0]) or "one number"


def _range(params: QuantParams) -> str:
    if params.scale.ndim:
        return f"{params.scale.size} channels, each with its own"
    low, high = params.ends
    return f"{low:.6g} to {high:.6g}"


def _numbers(array: object) -> str:
    """One number, or the least and the greatest of several."""
    values = np.asarray(array).reshape(-1)
    if values.size == 1:
        return f"{values[0]:.7g}"
    return f"{values.min():.6g} to {values.max():.6g} ({values.size} channels)"
