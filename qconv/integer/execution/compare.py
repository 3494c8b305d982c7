"""The executor against onnxruntime, on every element of every tensor, with ==."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from threadpoolctl import threadpool_limits

from qconv.integer.execution.arrays import Array
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.exposed import Exposed, Some, run
from qconv.integer.execution.work import work
from qconv.integer.language.audit import Types
from qconv.integer.language.element_types import element_type
from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.model.session import open_session
from qconv.model.traits import Trait


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

    def __init__(self, model: ir.Model, program: Program | None = None) -> None:
        """`program` is that of the model, where it has been read already."""
        program = program or Program.read(model)
        self._executor = Executor(program)
        self._makers = {write.name: step for step in program.steps for write in step.writes if write.name}
        made = [write for step in program.steps for write in step.writes if write.name]
        # Codes that a run finds follow the reals in front of them, which fusions change by ulps from session to session.
        by_run = any(step.traits & Trait.SCALES_BY_RUN for step in program.steps)
        self._exposed = Exposed(model, [write.value for write in made], optimize=not by_run)
        self._deployed = open_session(model, threads=1)
        foreign = self._executor.foreign
        self._foreign = frozenset(write.name for step in foreign for write in step.writes if write.name)
        tainted, moved = _downstream(program, foreign), _downstream(program, foreign, reals=True)
        self._compared = dict.fromkeys(write.name for write in made if write.name not in self._foreign | moved)
        self.work = 0  # of the last sample, in the unit of work.py
        self._outputs = [output.name for output in program.outputs if output.name and output.name not in tainted]

    @property
    def compared(self) -> tuple[str, ...]:
        """The tensors that are compared: all that nodes make, but for those of float islands."""
        return tuple(self._compared)

    def mismatches(self, feeds: Mapping[str, Array]) -> list[Mismatch]:
        """The tensors that differ on one sample (or batch), in the order of the graph; empty where all elements are equal.

        Raises ModelError where onnxruntime or the executor cannot run the graph on `feeds`.
        """
        # OpenBLAS' threads wait by spinning: where others use the cores too, a product that they share takes many times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._mismatches(feeds)

    def _mismatches(self, feeds: Mapping[str, Array]) -> list[Mismatch]:
        exposed = self._exposed.of(feeds)
        deployed = run(self._deployed, self._outputs, feeds) if self._outputs else {}
        inner, outer = [], {}
        shapes: dict[ir.Value, tuple[int, ...]] = {}
        self.work = 0
        for operand, array in self._executor.stream(feeds, given=Some(exposed, self._foreign)):
            if not hasattr(array, "shape"):
                continue  # a sequence, which only float nodes make
            name, shapes[operand.value] = operand.name, array.shape
            self.work += work(operand, self._makers.get(name), shapes)
            if name in self._compared:
                inner.append(self._compare(name, array, exposed.array(name)))
            if name in deployed:
                outer[name] = self._compare(name, array, deployed[name])
        found = [*inner, *(outer[name] for name in deployed if name in outer)]  # an output may be a constant
        return list(dict.fromkeys(mismatch for mismatch in found if mismatch is not None))

    def _compare(self, name: str, ours: Array, theirs: Array) -> Mismatch | None:
        node = self._makers[name].name if name in self._makers else ""
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return Mismatch(name, node, theirs.size, theirs.size, float("inf"))
        equal = ours == theirs
        if equal.all():
            return None
        equal |= (ours != ours) & (theirs != theirs)  # pairs of NaN
        if equal.all():
            return None
        difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        return Mismatch(name, node, int((~equal).sum()), theirs.size, float(np.nanmax(difference)))


def mismatches(model: ir.Model, feeds: Mapping[str, Array]) -> list[Mismatch]:
    """The tensors of `model` in which onnxruntime and the executor differ on one sample; `Judge` is for many."""
    return Judge(model).mismatches(feeds)


def _downstream(program: Program, steps: Iterable[Step], *, reals: bool = False) -> set[str]:
    """Names of all tensors that depend on one of `steps`; with `reals`, of those that did not become codes on the way."""
    types: Types = {}
    reached = {write.value for step in steps for write in step.writes}
    for step in program.steps:
        if any(argument is not None and argument.value in reached for argument in step.arguments):
            reached.update(write.value for write in step.writes if not reals or _is_real(write.value, types))
    return {value.name for value in reached if value.name}


def _is_real(value: ir.Value, types: Types) -> bool:
    dtype = element_type(value, types)
    return dtype is not None and dtype.is_floating_point()
