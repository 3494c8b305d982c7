"""A model of the target `portable` in other runtimes: python -m benchmarks.other_runtimes -o docs/targets.md

Quantizes networks of the zoo and the sample models for the default target and for `portable`, and tells

    the scores and the SQNR of both, the time of both in onnxruntime over that of float (one thread, in turn), and
    how many elements of the outputs differ from onnxruntime's in onnx's reference implementation and in OpenVINO, in codes.

OpenVINO runs in a Python of its own, given by `--openvino PYTHON` (it needs numpy and openvino); without it that column stays
empty. Only what stands between the two marks of the page is written.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from benchmarks import openvino_outputs
from benchmarks.cases import Case, FeedSource, available
from benchmarks.closeness import closeness, run_all
from benchmarks.feeds import Array, Feeds
from benchmarks.latency import measure
from benchmarks.page import between_marks, line
from qconv import pipeline
from qconv.config import QuantConfig
from qconv.model.session import open_session

BEGIN, END = "<!-- runtimes -->", "<!-- end of runtimes -->"
NETWORKS = (
    "digits_mlp", "digits_mobilenet", "digits_resnet", "digits_se", "digits_vit", "digits_bert", "digits_lstm", "digits_yolo",
    "cifar_resnet20_bn", "mobilenet_v1_025_224_bn", "squeezenet10_winml",
)  # fmt: skip
TARGETS = ("x86", "portable")
_REFERENCE_SAMPLES = 2  # it takes a minute for a large picture
_SAMPLES = 20
_SECONDS = 8.0


@dataclass(frozen=True)
class Difference:
    """Elements that differ from onnxruntime's, of how many, and the greatest difference in codes."""

    count: int
    of: int
    worst: float

    def __str__(self) -> str:
        return f"{self.count} of {self.of}" + (f", by at most {self.worst:.0f}" if self.count else "")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", nargs="*", default=NETWORKS, help="networks")
    parser.add_argument("--openvino", help="a Python that has OpenVINO")
    options = parser.parse_args()
    cases = available()
    titles = ["network", *(f"score, dB for `{target}`" for target in TARGETS), *(f"time of `{t}` / float" for t in TARGETS)]
    titles += ["onnx's reference differs on", "OpenVINO differs on"]
    rows = [line(titles), line(["---"] * len(titles))]
    for name in options.only:
        if name in cases:
            rows.append(_row(cases[name](), options.openvino))
            print(rows[-1], flush=True)
    if options.output:
        between_marks(options.output, "\n".join(rows), BEGIN, END)


def _row(case: Case, openvino: str | None) -> str:
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
        models = _quantized(case, Path(folder))
        reference = run_all(case.path, case.evaluation)
        cells = [case.name]
        for path in models.values():
            score = "" if case.score is None else f"{case.score(path):.4f}, "
            cells.append(f"{score}{closeness(reference, path, case.evaluation).total:.2f}")
        times = measure({"float": case.path, **models}, case.evaluation[0], _SECONDS)
        cells += [f"{times.ratio(target, 'float'):.2f}" for target in TARGETS]
        path, feeds = models["portable"], case.evaluation[:_SAMPLES]
        evaluator = ReferenceEvaluator(str(path))
        run = [[np.asarray(a) for a in evaluator.run(None, dict(feed))] for feed in feeds[:_REFERENCE_SAMPLES]]
        cells.append(str(_difference(path, feeds, run)))
        cells.append("" if openvino is None else str(_difference(path, feeds, _by_openvino(openvino, path, feeds, Path(folder)))))
    return line(cells)


def _quantized(case: Case, folder: Path) -> Mapping[str, Path]:
    source, found = FeedSource(case.calibration), {}
    calibration = pipeline.calibrate(case.path, source, threads=1)
    for target in TARGETS:
        found[target] = folder / f"{target}.onnx"
        config = QuantConfig(target=target)
        pipeline.quantize(case.path, calibration, config=config, samples=source, threads=1).save(found[target])
    return found


def _difference(path: Path, feeds: Sequence[Feeds], others: Sequence[Sequence[Array]]) -> Difference:
    """Of the outputs of another runtime, in steps of the outputs' codes."""
    session, steps = open_session(path, threads=1), _steps(path)
    count, total, worst = 0, 0, 0.0
    for feed, outputs in zip(feeds, others, strict=False):
        for ours, theirs, step in zip(session.run(None, dict(feed)), outputs, steps, strict=True):
            distance = np.abs(np.subtract(ours, theirs, dtype=np.float64)) / step
            count, total = count + int((distance > 0.5).sum()), total + distance.size
            worst = max(worst, float(distance.max(initial=0.0)))
    return Difference(count, total, worst)


def _steps(path: Path) -> list[float]:
    """The scale of each output, which a DequantizeLinear gives; 1 for another."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    found = []
    for output in graph.output:
        maker = makers.get(output.name)
        scaled = maker is not None and maker.op_type == "DequantizeLinear"
        found.append(float(constants[maker.input[1]].max()) if maker is not None and scaled else 1.0)
    return found


def _by_openvino(python: str, path: Path, feeds: Sequence[Feeds], folder: Path) -> list[list[Array]]:
    samples, results = folder / "samples.npz", folder / "results.npz"
    arrays = {f"{name}#{index}": array for index, feed in enumerate(feeds) for name, array in feed.items()}
    np.savez(samples, **arrays)  # type: ignore[arg-type]
    script = Path(openvino_outputs.__file__)
    subprocess.run([python, str(script), str(path), str(samples), str(results)], check=True)
    with np.load(results) as found:
        outputs = len(found.files) // len(feeds)
        return [[found[f"{place}#{index}"] for place in range(outputs)] for index in range(len(feeds))]


if __name__ == "__main__":
    main()
