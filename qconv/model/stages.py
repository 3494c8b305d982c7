"""A network that is run in stages, each node once: what is live at a cut, and a session of what lies between two cuts.

Codes are carried over a cut rather than the reals that a DequantizeLinear makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.model.graph import const_array
from qconv.model.memory import copied, give_memory_back
from qconv.model.session import open_session, reason
from qconv.model.traits import Trait, has_trait

Array = NDArray[Any]
Values = dict[str, Array]
_OPEN_STAGES = 16  # where there are more, memory is dearer than the time to open their sessions again
_NO_TENSOR = (ir.SequenceType, ir.OptionalType)


class Cuttable:
    """A graph whose nodes are in topological order, with what it takes to cut it in front of any of them."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.nodes = tuple(model.graph)
        self.place = {node: place for place, node in enumerate(self.nodes)}

    def live(self, end: int) -> list[str]:
        """What nodes from number `end` on read of what is there before, graph inputs included."""
        names: dict[str, None] = {}
        pending = [value for node in self.nodes[end:] for value in reads_of(node)]
        while pending:
            value = pending.pop()
            producer = value.producer()
            if const_array(value) is not None or (producer is not None and self.place.get(producer, end) >= end):
                continue
            if _is_light(producer):
                pending.extend(reads_of(producer))
            else:
                names[str(value.name)] = None
        return sorted(names)

    def cut_from(self, end: int) -> int:
        """The first place from `end` on where only tensors cross: no sequence can be given to a session."""
        values = {str(value.name): value for node in self.nodes for value in node.outputs}
        while any(name in values and isinstance(values[name].type, _NO_TENSOR) for name in self.live(end)):
            end += 1
        return end

    def session(
        self, given: Mapping[str, Array], outputs: Sequence[str], *, threads: int = 0, optimize: bool = True,
        fuse_quantized: bool = True,
    ) -> ort.InferenceSession:  # fmt: skip
        """A session of the nodes that lead from some of the values `given` to `outputs`."""
        graph = ir.convenience.extract(self.model.graph, [name for name in given if name not in outputs], outputs)
        declared = {value.name for value in self.model.graph.inputs}
        for value in graph.inputs:
            if value.name not in declared:  # a size that inference has found need not be that of this sample
                value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(given[str(value.name)].dtype)), None
        used = [value for value in graph.inputs if value.uses()]
        graph.inputs[:] = used
        part = ir.Model(graph, ir_version=self.model.ir_version)
        return open_session(part, threads=threads, optimize=optimize, fuse_quantized=fuse_quantized)


@dataclass
class _Stage:
    """What is made between two cuts: `shown` are given to the caller, `kept` is carried on."""

    shown: tuple[str, ...]
    made: tuple[str, ...]
    kept: tuple[str, ...]
    session: ort.InferenceSession | None = field(default=None)


class Walk:
    """A network that gives chosen tensors of a sample piece by piece; sessions of few stages stay open for the next sample.

    A network of a single piece runs as it is.
    """

    def __init__(
        self, model: ir.Model, pieces: Sequence[Sequence[str]], what: str, *, threads: int = 0, optimize: bool = True
    ) -> None:
        """`pieces` name inputs, and values that nodes make, in the order of the graph; `what` begins the sentence of an error."""
        self._graph, self._what, self._threads, self._optimize = Cuttable(model), what, threads, optimize
        self._stages = list(self._stages_of(pieces))

    def _stages_of(self, pieces: Sequence[Sequence[str]]) -> Iterator[_Stage]:
        makers = {str(value.name): place for node, place in self._graph.place.items() for value in node.outputs}
        begin = 0
        for number, piece in enumerate(pieces):
            end = self._graph.cut_from(max([begin, *(makers[name] + 1 for name in piece if name in makers)]))
            later = {name for other in pieces[number + 1 :] for name in other if makers.get(name, -1) < end}
            last = number + 1 == len(pieces)
            kept = () if last else tuple(sorted({*self._graph.live(end), *later}))
            made = tuple(name for name in dict.fromkeys((*piece, *kept)) if begin <= makers.get(name, -1) < end)
            yield _Stage(tuple(piece), made, kept)
            begin = end

    def run(self, feeds: Mapping[str, Array]) -> Iterator[Values]:
        """The tensors of one piece after the other. Raises ModelError with onnxruntime's words where a run fails."""
        values = dict(feeds)
        for stage in self._stages:
            if len(self._stages) > 1:
                give_memory_back()
            if stage.made:
                values |= self._run(stage, values)
            shown, values = ({name: values[name] for name in names} for names in (stage.shown, stage.kept))
            yield shown
            del shown  # or it would be held while the next stage runs

    def _run(self, stage: _Stage, values: Values) -> Values:
        session = stage.session or self._open(stage, values)
        if len(self._stages) <= _OPEN_STAGES:
            stage.session = session
        found = run_session(session, stage.made, values, self._what)
        if len(self._stages) > 1:
            for name, array in found.items():  # one by one, so that each frees what it is a copy of
                found[name] = copied(array) if isinstance(array, np.ndarray) else array
        return found

    def _open(self, stage: _Stage, values: Values) -> ort.InferenceSession:
        if len(self._stages) == 1:
            return open_session(self._graph.model, outputs=stage.made, threads=self._threads, optimize=self._optimize)
        return self._graph.session(values, stage.made, threads=self._threads, optimize=self._optimize)


def run_session(session: ort.InferenceSession, names: Sequence[str], values: Mapping[str, Array], what: str) -> Values:
    """Outputs by name, from those of `values` that the session reads.

    Raises ModelError where a run fails: `what` and onnxruntime's reason.
    """
    feeds = {info.name: values[info.name] for info in session.get_inputs() if info.name in values}
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"{what}: {reason(error)}") from error


def reads_of(node: ir.Node) -> list[ir.Value]:
    """The inputs of a node, and what its subgraphs read of the graph around them."""
    found = [value for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            inner = ir.traversal.RecursiveGraphIterator(attribute.as_graph())
            found += [value for each in inner for value in each.inputs if value is not None and value.graph is node.graph]
    return found


def _is_light(node: ir.Node | None) -> TypeGuard[ir.Node]:
    """Whether a node is run again rather than its output carried: reals take four times the memory of codes."""
    return node is not None and has_trait(node, Trait.DEQUANTIZES)
