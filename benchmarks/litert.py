"""An integer model and its TFLite file in LiteRT: how often codes differ, at the outputs and by each kind of operator.

Usage: python -m benchmarks.litert model.int8.onnx [--data samples.npz] [--samples 50] [--reference]
Needs ai-edge-litert and the packages of `pip install 'qconv[tflite]'`.

An operator's own differences are those between what LiteRT made of its inputs and what exact integer arithmetic makes of the same
inputs. Every tensor is an output of the file for that, so that LiteRT's kernels are those of the whole network. `--reference`
takes LiteRT's kernels without XNNPACK.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from benchmarks.page import line
from qconv.data.source import inputs_of
from qconv.export.tflite.rules import RULES
from qconv.export.tflite.translate import Translation
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.kernels import compute
from qconv.integer.program import Program
from qconv.integer.step import Operand, Step
from qconv.model.load import load
from qconv.pipeline.export import one_sample, random_feeds
from qconv.pipeline.open_source import open_source

Array = NDArray[Any]


@dataclass
class Count:
    """How many codes were compared, how many differ, and by how much at most."""

    codes: int = 0
    differing: int = 0
    most: int = 0

    def add(self, found: Array, wanted: Array) -> None:
        """Compares signed codes."""
        distance = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
        self.codes += distance.size
        self.differing += int(np.count_nonzero(distance))
        self.most = max(self.most, int(distance.max(initial=0)))

    def cells(self) -> list[str]:
        """Its cells in a row of a table."""
        return [f"{self.codes:,}", f"{100 * self.differing / max(self.codes, 1):.2f} %", str(self.most)]


@dataclass
class Comparison:
    """Counts of the outputs of the network, of each kind of operator by itself, and in how many samples the classes agree."""

    samples: int = 0
    classes: int = 0
    outputs: Count = field(default_factory=Count)
    by_op: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))


def compare(path: Path, data: str | None, samples: int, *, reference: bool = False) -> Comparison:
    """Runs both on the samples, or on random codes."""
    model = load(path).ir
    source = None if data is None else open_source(data, inputs_of(model))
    feeds = list(islice(random_feeds(model) if source is None else (sample.feeds for sample in source), samples))
    program, found = Program.read(model), Comparison()
    executor, makers = Executor(program), program.makers
    plain, translation = Translation(program, RULES), Translation(program, RULES)
    final = _Lite(plain.run(), reference=reference)
    inner = _Lite(translation.run(everything=True), reference=reference)
    for sample in feeds:
        arrays = executor.run({name: one_sample(array, model, name) for name, array in sample.items()})
        codes = [_turned(arrays[str(value.name)], value in translation.last) for value in translation.inputs]
        for value, array in zip(plain.outputs, final.run(codes), strict=True):
            exact, got = _signed(arrays[str(value.name)]), _back(array, value in translation.last)
            found.outputs.add(got, exact)
            found.classes += int(got.argmax() == exact.argmax())
            found.samples += 1
        made = {
            value: _back(array, value in translation.last)
            for value, array in zip(translation.outputs, inner.run(codes), strict=True)
        }
        for step in translation.program.steps:
            if step.writes[0].value in made:
                _own(step, makers, arrays, made, found.by_op[step.op])
    return found


Makers = Mapping[ir.Value, Step]


def _own(step: Step, makers: Makers, arrays: Mapping[str, Array], made: Mapping[ir.Value, Array], count: Count) -> None:
    """The differences of one operator, given what LiteRT made of its inputs."""
    known: dict[ir.Value, Array] = {}
    inputs = [None if a is None else _given(a, makers, arrays, made, known) for a in step.arguments]
    count.add(made[step.writes[0].value], _signed(compute(step, inputs)[0]))


def _given(
    operand: Operand, makers: Makers, arrays: Mapping[str, Array], made: Mapping[ir.Value, Array], known: dict[ir.Value, Array]
) -> Array:
    """A tensor as LiteRT has it; what the file has no tensor for is computed from those that it has."""
    if operand.constant is not None:
        return operand.constant
    value, exact, step = operand.value, arrays[operand.name], makers.get(operand.value)
    if value in made or step is None:
        return _like(made[value], exact) if value in made else exact
    if value not in known:
        inputs = [None if a is None else _given(a, makers, arrays, made, known) for a in step.arguments]
        float_input = any(array is not None and array.dtype.kind == "f" for array in inputs[:1])
        place = [write.value for write in step.writes].index(value)
        known[value] = exact if float_input else compute(step, inputs)[place]
    return known[value]


def _signed(codes: Array) -> Array:
    return (codes.astype(np.int16) - 128).astype(np.int8) if codes.dtype == np.uint8 else codes


def _like(codes: Array, other: Array) -> Array:
    return (codes.astype(np.int16) + 128).astype(np.uint8) if other.dtype == np.uint8 else codes


def _turned(codes: Array, last: bool) -> Array:
    return _signed(codes).transpose(0, 2, 3, 1) if last else _signed(codes)


def _back(codes: Array, last: bool) -> Array:
    return codes.transpose(0, 3, 1, 2) if last else codes


class _Lite:
    """LiteRT with one file."""

    def __init__(self, data: bytes, *, reference: bool) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if reference else OpResolverType.AUTO
        self._found = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kind)
        self._found.allocate_tensors()

    def run(self, codes: Sequence[Array]) -> list[Array]:
        for details, array in zip(self._found.get_input_details(), codes, strict=True):
            self._found.set_tensor(details["index"], array)
        self._found.invoke()
        return [self._found.get_tensor(details["index"]) for details in self._found.get_output_details()]


def main() -> None:
    """Prints the outputs and a row for each kind of operator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--reference", action="store_true")
    given = parser.parse_args()
    for model in given.models:
        found = compare(model, given.data, given.samples, reference=given.reference)
        print(f"\n{model.name}: {found.classes} of {found.samples} outputs have their largest code at the same place\n")
        print(line(["operator", "codes", "differ", "by at most"]) + "\n|---|---:|---:|---:|")
        for name, count in [*sorted(found.by_op.items()), ("the outputs", found.outputs)]:
            print(line([name, *count.cells()]), flush=True)


if __name__ == "__main__":
    main()
