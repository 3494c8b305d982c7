"""The score of every calibration method at 8, 6 and 4 bits of activations, on the networks of the zoo that have a score.

    python -m benchmarks.methods -o docs/calibration.md

Weights keep 8 bits, so that what is seen is the ranges of activations. Each network is calibrated once; every method and number
of bits reads the same summaries. The page's other parts stay: only what stands between the two marks is written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import FeedSource, zoo_folder, zoo_module
from benchmarks.page import between_marks
from qconv import pipeline
from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.ranges.methods import METHODS
from qconv.statistics.calibration import Calibration

BITS = (8, 6, 4)
SAMPLES = 100
BEGIN, END = "<!-- scores -->", "<!-- end of scores -->"


@dataclass
class Bench:
    """Scores, and a memory of those that are known: `memory` has them by network and plan."""

    zoo: Any
    memory: dict[str, float] = field(default_factory=dict)
    file: Path | None = None

    def float_score(self, name: str) -> float:
        """Of the float model."""
        return self._remember(name, lambda: float(self.zoo.score(name)))

    def score(self, name: str, calibration: Calibration, samples: SampleSource, method: str, bits: int) -> float:
        """Of the network quantized by a method; auto measures on `samples`."""
        config = QuantConfig(activation_bits=bits, method=method)
        result = pipeline.quantize(_model(name), calibration, config=config, samples=samples, threads=1)
        ranges = [result.choices[tensor].range for tensor in sorted(result.choices)]
        return self._remember(json.dumps([name, bits, ranges]), lambda: self._score(name, result))

    def _score(self, name: str, result: pipeline.Quantized) -> float:
        with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
            path = Path(folder) / "model.onnx"
            result.save(path)
            return float(self.zoo.score(name, path))

    def _remember(self, key: str, measure: Callable[[], float]) -> float:
        if key not in self.memory:
            self.memory[key] = measure()
            if self.file is not None:
                self.file.write_text(json.dumps(self.memory))
        return self.memory[key]


def _model(name: str) -> Path:
    return zoo_folder() / "models" / f"{name}.onnx"


def calibrated(zoo: Any, name: str) -> tuple[Calibration, SampleSource]:
    """With everything that any method needs, and the samples."""
    samples = FeedSource(list(zoo.feeds(name, "calib", SAMPLES)))
    return pipeline.calibrate(_model(name), samples, method="ema", threads=1), samples


def remember_inputs(zoo: Any) -> None:
    """Decodes each picture once instead of once for every score."""
    for name, prepare in zoo.PREPARE.items():
        known: dict[Any, Any] = {}

        def once(sample: Any, prepare: Any = prepare, known: dict[Any, Any] = known) -> Any:
            key = sample if isinstance(sample, Path) else sample.tobytes()
            if key not in known:
                known[key] = prepare(sample)
            return known[key]

        zoo.PREPARE[name] = once


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--memory", type=Path, help="a file of scores that are known already")
    parser.add_argument("--only", nargs="*", help="networks")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--bits", nargs="*", type=int, default=list(BITS))
    options = parser.parse_args()
    zoo = zoo_module()
    remember_inputs(zoo)
    memory = json.loads(options.memory.read_text()) if options.memory and options.memory.exists() else {}
    bench = Bench(zoo, memory, options.memory)
    table: dict[tuple[str, int, str], float] = {}
    for name in options.only or list(zoo.SCORES):
        base = bench.float_score(name)
        calibration, samples = calibrated(zoo, name)
        for bits in options.bits:
            for method in options.methods:
                table[name, bits, method] = 100 * (bench.score(name, calibration, samples, method, bits) - base)
                print(f"{name} {bits} {method} {table[name, bits, method]:+.2f}", flush=True)
    print(render(table, options.methods, options.bits))
    if options.output:
        between_marks(options.output, render(table, options.methods, options.bits), BEGIN, END)


def render(table: Mapping[tuple[str, int, str], float], methods: Sequence[str], bits: Sequence[int]) -> str:
    """A Markdown table for each number of bits: the change of the score in points, and its mean."""
    names = list(dict.fromkeys(name for name, _, _ in table))
    parts = []
    for count in bits:
        rows = [(name, [table[name, count, method] for method in methods]) for name in names]
        rows.append(("**mean**", [statistics.mean(row[column] for _, row in rows) for column in range(len(methods))]))
        lines = [f"| {name} | {' | '.join(f'{value:+.2f}' for value in row)} |" for name, row in rows]
        head = f"| {count} bits | {' | '.join(methods)} |"
        parts.append("\n".join([head, "|---" + "|---:" * len(methods) + "|", *lines]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
