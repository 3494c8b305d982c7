"""The executor against onnxruntime, on every element of every tensor, with ==."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.exposed import Exposed, Fetched, Some, run
from qconv.integer.execution.kernels import FOUND_BY_RUN
from qconv.integer.execution.work import work
from qconv.model.graph import is_float
from qconv.model.session import open_session
from qconv.model.traits import key_of


@dataclass(frozen=True)
class Mismatch:
    """A tensor in which onnxruntime and the executor differ; the largest difference is infinite where shapes or types do."""

    tensor: str
    node: str
    differing: int
    total: int
    max_difference: float


class Judge:
    """Compares one integer graph over many samples: sessions are opened once.

    onnxruntime runs the graph twice: with tensors exposed, which holds back some of its fusions, and as it is deployed, where
    only the graph's outputs can be seen. Float islands take onnxruntime's values; outputs behind them are compared in
    the first run only, and reals that are only moved from there not at all.
    """

    def __init__(self, model: ir.Model) -> None:
        self._executor = Executor(model)
        self._producers = {value.name: node for node in model.graph for value in node.outputs if value.name}
        made = [value for node in model.graph for value in node.outputs if value.name]
        # Codes that a run finds follow the reals in front of them, which fusions change by ulps from session to session.
        by_run = any(key_of(node) in FOUND_BY_RUN for node in model.graph)
        self._exposed = Exposed(model, made, optimize=not by_run)
        self._deployed = open_session(model, threads=1)
        self._foreign = frozenset(str(value.name) for node in self._executor.foreign for value in node.outputs if value.name)
        tainted = _downstream(model.graph, self._executor.foreign)
        moved = _reals_of(model.graph, self._executor.foreign)
        self._compared = dict.fromkeys(str(value.name) for value in made if value.name not in self._foreign | moved)
        self.work = 0  # of the last sample, in the unit of work.py
        self._outputs = [value.name for value in model.graph.outputs if value.name and value.name not in tainted]

    @property
    def compared(self) -> tuple[str, ...]:
        """The tensors that are compared: all that nodes make, but for those of float islands."""
        return tuple(self._compared)

    def mismatches(self, feeds: Mapping[str, Array]) -> list[Mismatch]:
        """The tensors that differ on one sample (or batch), in the order of the graph; empty where all elements are equal.

        Raises ModelError where onnxruntime or the executor cannot run the graph on `feeds`.
        """
        exposed = Fetched(self._exposed, feeds)
        deployed = run(self._deployed, self._outputs, feeds) if self._outputs else {}
        inner, outer = [], {}
        shapes: dict[ir.Value, tuple[int, ...]] = {}
        self.work = 0
        for value, array in self._executor.stream(feeds, given=Some(exposed, self._foreign)):
            if not hasattr(array, "shape"):
                continue  # a sequence, which only float nodes make
            name, shapes[value] = str(value.name), array.shape
            self.work += work(value, shapes)
            if name in self._compared:
                inner.append(self._compare(name, array, exposed.array(name)))
            if name in deployed:
                outer[name] = self._compare(name, array, deployed[name])
        found = [*inner, *(outer[name] for name in deployed if name in outer)]  # an output may be a constant
        return list(dict.fromkeys(mismatch for mismatch in found if mismatch is not None))

    def _compare(self, name: str, ours: Array, theirs: Array) -> Mismatch | None:
        node = self._producers[name].name or "" if name in self._producers else ""
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return Mismatch(name, node, theirs.size, theirs.size, float("inf"))
        equal = (ours == theirs) | ((ours != ours) & (theirs != theirs))
        if equal.all():
            return None
        difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        return Mismatch(name, node, int((~equal).sum()), theirs.size, float(np.nanmax(difference)))


def mismatches(model: ir.Model, feeds: Mapping[str, Array]) -> list[Mismatch]:
    """The tensors of `model` in which onnxruntime and the executor differ on one sample; `Judge` is for many."""
    return Judge(model).mismatches(feeds)


def _downstream(graph: ir.Graph, nodes: tuple[ir.Node, ...]) -> set[str]:
    """Names of all values that depend on one of `nodes`."""
    reached: set[ir.Value] = {value for node in nodes for value in node.outputs}
    for node in graph:
        if any(value in reached for value in node.inputs if value is not None):
            reached.update(node.outputs)
    return {value.name for value in reached if value.name}


def _reals_of(graph: ir.Graph, nodes: tuple[ir.Node, ...]) -> set[str]:
    """Names of the reals that come from `nodes` without becoming codes on the way."""
    reached: set[ir.Value] = {value for node in nodes for value in node.outputs}
    for node in graph:
        if any(value in reached for value in node.inputs if value is not None):
            reached.update(value for value in node.outputs if is_float(value))
    return {value.name for value in reached if value.name}
