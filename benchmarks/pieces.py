"""What each piece of recovery gains alone and all together, and how long quantizing takes with it.

    python -m benchmarks.pieces -o docs/recovery.md

SQNR over samples that nothing was chosen by, the task's score, and the seconds of `quantize` behind calibration. The page's other
parts stay: only what stands between the two marks is written.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import theirs
from benchmarks.cases import Case, FeedSource, available, named
from benchmarks.closeness import closeness, run_all
from benchmarks.page import Progress, between_marks, line, machine
from qconv import pipeline
from qconv.config import QuantConfig, Recovery
from qconv.recover.recover import EFFORTS, recover
from qconv.statistics.calibration import Calibration

BEGIN, END = "<!-- pieces -->", "<!-- end of pieces -->"
NETWORKS = ("mobilenet*", "squeezenet*", "cifar*", "mlperf_kws*", "ultraface*", "mnist*")
THEIRS = "onnxruntime.quantization, its best form"


@dataclass(frozen=True)
class Figure:
    """One row: SQNR of all outputs together in dB, the task's score, seconds of quantizing where that was measured."""

    piece: str
    sqnr_db: float
    score: float | None
    seconds: float | None


class Bench:
    """The rows of one network."""

    def __init__(self, case: Case, folder: Path) -> None:
        self._case, self._folder = case, folder
        self._samples = FeedSource(case.calibration)
        self._exact = run_all(case.path, case.evaluation)
        self._calibration: Calibration = pipeline.calibrate(case.path, self._samples)

    def rows(self) -> Iterator[Figure]:
        """Of all pieces, and of onnxruntime.quantization."""
        score = self._case.score
        yield Figure("float", float("inf"), None if score is None else score(self._case.path), None)
        nearest = self._made(QuantConfig(effort="none"))
        yield self._figure("8 bits: nearest weights, one scale for each tensor", *nearest)
        whole, seconds = self._made(QuantConfig())
        if whole.recovery is not None:
            plan = whole.recovery.form.plan
            made = pipeline.quantize(self._case.path, self._calibration, plan=plan)
            yield self._figure("8 bits: scales for each channel only", made)
        yield self._figure("8 bits: fitted weights only", self._fitted(nearest[0]))
        yield self._figure("8 bits: both (the default)", whole, seconds)
        yield self._figure("8 bits: --effort full", *self._made(QuantConfig(effort="full")))
        efforts: Sequence[Recovery] = ("none", "fast")
        for effort in efforts:
            what = "nearest weights" if effort == "none" else "the default"
            yield self._figure(f"--per-tensor: {what}", *self._made(QuantConfig(per_tensor=True, effort=effort)))
        for effort in efforts:
            what = "nearest weights" if effort == "none" else "the default"
            yield self._figure(f"--weight-bits 4: {what}", *self._made(QuantConfig(weight_bits=4, effort=effort)))
        yield self._theirs()

    def _made(self, config: QuantConfig) -> tuple[pipeline.Quantized, float]:
        start = time.perf_counter()
        result = pipeline.quantize(self._case.path, self._calibration, config=config, samples=self._samples)
        return result, time.perf_counter() - start

    def _fitted(self, nearest: pipeline.Quantized) -> pipeline.Quantized:
        loaded = pipeline.load_prepared(self._case.path)
        found = recover(loaded.ir, nearest.plan, QuantConfig(), list(self._case.calibration), EFFORTS["fast"])
        return pipeline.quantize(self._case.path, self._calibration, plan=found.plan)

    def _figure(self, piece: str, result: pipeline.Quantized, seconds: float | None = None) -> Figure:
        path = self._folder / "model.int8.onnx"
        result.save(path)
        return self._measured(piece, path, seconds)

    def _measured(self, piece: str, path: Path, seconds: float | None) -> Figure:
        score = self._case.score
        db = closeness(self._exact, path, self._case.evaluation).total
        return Figure(piece, db, None if score is None else score(path), seconds)

    def _theirs(self) -> Figure:
        found = theirs.quantize(self._case, self._folder)
        rows = [self._measured(THEIRS, path, None) for path in found.models.values()]
        return max(rows, key=lambda row: row.sqnr_db)


def table(rows: dict[str, Sequence[Figure]]) -> str:
    """A Markdown table: a row for each piece, a column for each network."""
    names = list(rows)
    lines = [f"SQNR in dB, score, seconds. {machine()}.", "", line(["", *names]), line(["---"] * (len(names) + 1))]
    for number, figure in enumerate(rows[names[0]]):
        lines.append(line([figure.piece, *(_cell(rows[name][number]) for name in names)]))
    return "\n".join(lines)


def _cell(figure: Figure) -> str:
    parts = ["" if figure.sqnr_db == float("inf") else f"{figure.sqnr_db:.1f}"]
    parts += [] if figure.score is None else [f"{figure.score:.4f}".lstrip("0")]
    parts += [] if figure.seconds is None else [f"{figure.seconds:.1f} s"]
    return ", ".join(part for part in parts if part)


@click.command()
@click.option("--models", multiple=True, default=NETWORKS, metavar="GLOB", help="Only networks with such names.")
@click.option("-o", "page", type=click.Path(path_type=Path, dir_okay=False), help="The page whose table is written.")
def main(models: tuple[str, ...], page: Path | None) -> None:
    """Measure each piece of recovery, print a Markdown table, and write it into a page."""
    found: dict[str, Callable[[], Case]] = named(available(), models)  # type: ignore[assignment]
    if not found:
        raise click.UsageError("no network has such a name; the zoo is looked for in QCONV_ZOO")
    rows: dict[str, Sequence[Figure]] = {}
    for name, open_case in found.items():
        progress = Progress(name)
        with tempfile.TemporaryDirectory(prefix="qconv-pieces-") as folder:
            measured = []
            for figure in Bench(open_case(), Path(folder)).rows():
                progress.stage(figure.piece)
                measured.append(figure)
            rows[name] = measured
        progress.end()
    text = table(rows)
    if page is not None:
        between_marks(page, text, BEGIN, END)
    click.echo(text)


if __name__ == "__main__":
    main()
