"""From the text of a float graph to its integer model, through the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.data.source import Sample
from qconv.integer.execution.compare import mismatches
from qconv.integer.execution.executor import Executor
from qconv.integer.language.spec import check
from qconv.integer.program import Program
from qconv.plan.quant_plan import QuantPlan

Array = NDArray[Any]


@dataclass(frozen=True)
class Given:
    """Samples that are at hand."""

    feeds: Sequence[Mapping[str, Array]]
    description: str = "arrays of a test"
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.feeds)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(feed, None, str(i)) for i, feed in enumerate(self.feeds))


def write_model(path: Path, text: str, weights: Mapping[str, Array], opset: int = 21) -> Path:
    """A model file from the text form of a graph and its initializers."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type.lower()}{index}"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@dataclass(frozen=True)
class Result:
    """A float model, its integer model, and the samples."""

    path: Path
    quantized: pipeline.Quantized
    feeds: Sequence[Mapping[str, Array]]

    @property
    def ops(self) -> list[str]:
        """The op types of the integer graph, in order."""
        return [node.op_type for node in self.quantized.model.graph]

    def sqnr_db(self) -> float:
        """10 log10(power of the float outputs / power of the integer model's error), over all samples and outputs."""
        proto = ir.to_proto(self.quantized.model)
        sessions = [
            ort.InferenceSession(m, providers=["CPUExecutionProvider"]) for m in (str(self.path), proto.SerializeToString())
        ]
        signal = noise = 0.0
        for feed in self.feeds:
            for a, b in zip(*(session.run(None, dict(feed)) for session in sessions), strict=True):
                signal += float((a.astype(np.float64) ** 2).sum())
                noise += float(((a.astype(np.float64) - b) ** 2).sum())
        return float(10 * np.log10(signal / noise)) if noise else float("inf")

    def assert_exact(self) -> None:
        """The graph is of the language, and the executor equals onnxruntime on every element of every tensor."""
        assert check(self.quantized.model) == []
        for feed in self.feeds:
            assert mismatches(self.quantized.model, feed) == []

    def values(self, index: int = 0) -> dict[str, Array]:
        """Every tensor of one sample."""
        return Executor(Program.read(self.quantized.model)).run(self.feeds[index])


def quantize_graph(
    folder: Path, text: str, weights: Mapping[str, Array], feeds: Sequence[Mapping[str, Array]], *,
    config: QuantConfig = QuantConfig(), plan: QuantPlan | None = None,
) -> Result:  # fmt: skip
    """Writes, calibrates and quantizes a model."""
    path = write_model(folder / "model.onnx", text, weights)
    calibration = pipeline.calibrate(path, Given(feeds), config=config)
    return Result(path, pipeline.quantize(path, calibration, config=config, plan=plan), feeds)


def tuned_and_plain(
    folder: Path, text: str, weights: Mapping[str, Array], feeds: Sequence[Mapping[str, Array]]
) -> tuple[Result, Result]:
    """A model with tuning and without, which give the same values."""
    results = []
    for name, tuned in (("tuned", True), ("plain", False)):
        (folder / name).mkdir()
        results.append(quantize_graph(folder / name, text, weights, feeds, config=QuantConfig(no_tune=not tuned)))
    tuned_result, plain_result = results
    tuned_result.assert_exact()
    assert np.array_equal(tuned_result.values()["y"], plain_result.values()["y"])
    return tuned_result, plain_result


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Float32 from a normal distribution."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
