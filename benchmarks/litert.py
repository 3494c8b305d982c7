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
from qconv.export.tflite.translate import Translation
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Step
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
    found, executor = Comparison(), Executor(model)
    plain, translation = Translation(model), Translation(model)
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
            if step.node.outputs[0] in made:
                _own(step, executor, arrays, made, found.by_op[step.op])
    return found


def _own(step: Step, executor: Executor, arrays: Mapping[str, Array], made: Mapping[ir.Value, Array], count: Count) -> None:
    """The differences of one operator, given what LiteRT made of its inputs."""
    known: dict[ir.Value, Array] = {}
    inputs = [None if value is None else _given(value, executor, arrays, made, known) for value in step.node.inputs]
    (output,) = executor.run_node(step.node, inputs)[:1]
    count.add(made[step.node.outputs[0]], _signed(output))


def _given(
    value: ir.Value, executor: Executor, arrays: Mapping[str, Array], made: Mapping[ir.Value, Array], known: dict[ir.Value, Array]
) -> Array:
    """A tensor as LiteRT has it; what the file has no tensor for is computed from those that it has."""
    if value.const_value is not None:
        return np.asarray(value.const_value.numpy())
    exact, node = arrays[str(value.name)], value.producer()
    if value in made or node is None:
        return _like(made[value], exact) if value in made else exact
    if value not in known:
        inputs = [None if v is None else _given(v, executor, arrays, made, known) for v in node.inputs]
        float_input = any(array is not None and array.dtype.kind == "f" for array in inputs[:1])
        known[value] = exact if float_input else executor.run_node(node, inputs)[list(node.outputs).index(value)]
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
