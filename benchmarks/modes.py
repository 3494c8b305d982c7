"""What static, dynamic and weight-only quantization make of a network: size, closeness, and time against the float model.

    python -m benchmarks.modes minilm.onnx calibration_folder test_folder -o docs/modes.md

The folders hold an .npz for each sample, with an array for each input. The digits MLP of sample_models/ is measured too. Times
are medians of ratios of one interleaved run on one thread; the page's other parts stay.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks import latency
from benchmarks.cases import Case, FeedSource, available
from benchmarks.closeness import run_all
from benchmarks.feeds import Feeds
from benchmarks.page import Progress, between_marks, line, machine
from benchmarks.sizes import size_of
from qconv import pipeline
from qconv.config import QuantConfig
from qconv.verify.measure.metrics import SimilarityMeter

BEGIN, END = "<!-- modes -->", "<!-- end of modes -->"
FLOAT, SECONDS = "float", 20.0
CONFIGS = {
    "static": QuantConfig(),
    "dynamic": QuantConfig(mode="dynamic"),
    "weight-only, 8 bits": QuantConfig(mode="weight-only"),
    "weight-only, 4 bits": QuantConfig(mode="weight-only", weight_bits=4),
    "weight-only, 4 bits, nearest codes": QuantConfig(mode="weight-only", weight_bits=4, effort="none"),
    "weight-only, 4 bits, --group 128": QuantConfig(mode="weight-only", weight_bits=4, group=128),
    "weight-only, 2 bits": QuantConfig(mode="weight-only", weight_bits=2),
}


@dataclass(frozen=True)
class Figure:
    """One row: bytes against the float model's, cosine and SQNR in dB of the last output, score, and time against float."""

    mode: str
    size: float
    cosine: float
    sqnr_db: float
    score: float | None
    time: float | None = None


def figures(case: Case, folder: Path) -> Iterator[Figure]:
    """Of all modes, in turn; times are taken of all together at the end."""
    samples, exact = FeedSource(case.calibration), run_all(case.path, case.evaluation)
    calibration = pipeline.calibrate(case.path, samples)
    models, rows = {FLOAT: case.path}, []
    for mode, config in CONFIGS.items():
        path = models[mode] = folder / f"{len(models)}.onnx"
        pipeline.quantize(case.path, calibration, config=config, samples=samples).save(path)
        meter, output = SimilarityMeter(), list(exact[0])[-1]
        for wanted, found in zip(exact, run_all(path, case.evaluation), strict=True):
            meter.add(wanted[output], found[output])
        score, close = None if case.score is None else case.score(path), meter.result()
        rows.append(Figure(mode, size_of(path) / size_of(case.path), close.cosine, close.sqnr_db, score))
    times = latency.measure(models, case.evaluation[0], SECONDS)
    for row in rows:
        yield replace(row, time=times.ratio(row.mode, FLOAT))


def table(name: str, score: float | None, rows: Sequence[Figure]) -> str:
    """A Markdown table of one network."""
    head = [f"{name}, {'' if score is None else f'score of the float model {score:.4f}, '}last output", "size", "cosine", "SQNR"]
    lines = [line([*head, "score", "time / float"]), line(["---", *["---:"] * 5])]
    for row in rows:
        db = "exact" if row.sqnr_db == math.inf else f"{row.sqnr_db:.1f} dB"
        shown = "-" if row.score is None else f"{row.score:.4f}"
        lines.append(line([row.mode, f"{row.size:.2f}", f"{row.cosine:.4f}", db, shown, f"{row.time:.2f}"]))
    return "\n".join(lines)


def _folder(path: Path) -> list[Feeds]:
    return [dict(np.load(file)) for file in sorted(path.glob("*.npz"))]


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("calibration", type=click.Path(path_type=Path, exists=True))
@click.argument("test", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "page", type=click.Path(path_type=Path, dir_okay=False), help="The page whose tables are written.")
def main(model: Path, calibration: Path, test: Path, page: Path | None) -> None:
    """Measure the modes on MODEL and on the digits MLP, print Markdown tables, and write them into a page."""
    texts = [f"{machine()}."]
    for case in (Case(model.stem, model, _folder(calibration), _folder(test)), available()["digits_mlp"]()):
        progress = Progress(case.name)
        with tempfile.TemporaryDirectory(prefix="qconv-modes-") as name:
            rows = list(figures(case, Path(name)))
        progress.end()
        texts.append(table(case.name, None if case.score is None else case.score(case.path), rows))
    if page is not None:
        between_marks(page, "\n\n".join(texts), BEGIN, END)
    click.echo("\n\n".join(texts))


if __name__ == "__main__":
    main()
