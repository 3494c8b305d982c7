"""What each target costs in accuracy, on the networks of the zoo and the sample models: python -m benchmarks.target_price

    python -m benchmarks.target_price -o docs/targets.md

Each network is calibrated once, and quantized with the defaults for every target. Only what stands between the two marks of the
page is written.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, FeedSource, available
from benchmarks.closeness import closeness, run_all
from benchmarks.page import between_marks, line
from qconv import pipeline
from qconv.config import QuantConfig
from qconv.targets import TARGETS

BEGIN, END = "<!-- prices -->", "<!-- end of prices -->"


@dataclass(frozen=True)
class Figures:
    """Of a network for a target: the SQNR of its outputs in dB, its score, and the targets on which its codes are the same."""

    sqnr_db: float
    score: float | None
    exact_on: str


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", nargs="*", help="networks")
    options = parser.parse_args()
    rows = [_header()]
    for name, opened in available().items():
        if not options.only or name in options.only:
            rows.append(_row(opened()))
            print(rows[-1], flush=True)
    if options.output:
        between_marks(options.output, "\n".join(rows), BEGIN, END)


def measure(case: Case) -> dict[str, Figures]:
    """Of all targets."""
    source = FeedSource(case.calibration)
    calibration = pipeline.calibrate(case.path, source, threads=1)
    reference = run_all(case.path, case.evaluation)
    found = {}
    for target in TARGETS:
        result = pipeline.quantize(case.path, calibration, config=QuantConfig(target=target), samples=source, threads=1)
        with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
            path = Path(folder) / "model.onnx"
            result.save(path)
            score = None if case.score is None else case.score(path)
            sqnr = closeness(reference, path, case.evaluation).total
            found[target] = Figures(sqnr, score, result.model.metadata_props["qconv.exact_on"])
    return found


def _header() -> str:
    cells = ["network", "score of float", *(f"score, dB for `{target}`" for target in TARGETS), "`x86` has the same codes on"]
    return f"{line(cells)}\n{line(['---'] * len(cells))}"


def _row(case: Case) -> str:
    found = measure(case)
    scored = "" if case.score is None else f"{case.score(case.path):.4f}"
    cells = [f"{'' if f.score is None else f'{f.score:.4f}, '}{f.sqnr_db:.2f}" for f in found.values()]
    return line([case.name, scored, *cells, found["x86"].exact_on])


if __name__ == "__main__":
    main()
