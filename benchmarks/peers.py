"""onnxsim's quantizers, which install without torch, with the same samples as qconv's pieces (benchmarks/pieces.py).

    python -m venv /tmp/peer && /tmp/peer/bin/pip install onnxsim onnxruntime numpy
    python -m benchmarks.peers --python /tmp/peer/bin/python -o docs/recovery.md

Each variant writes its model in a process of that Python, from the network as onnxruntime's pre-processing leaves it; SQNR, score
and float nodes are measured here. The page's other parts stay.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks import theirs
from benchmarks.cases import Case, available, named
from benchmarks.closeness import closeness, run_all
from benchmarks.page import Progress, between_marks, line, machine
from benchmarks.pieces import NETWORKS
from qconv.verify import audit_optimized

BEGIN, END = "<!-- peers -->", "<!-- end of peers -->"
PROGRAM = """
import sys
from pathlib import Path
import numpy as np, onnx, onnxsim
model, folder, written, variant = sys.argv[1:]
feeds = [dict(np.load(file)) for file in sorted(Path(folder).glob("*.npz"))]
if variant.startswith("quark"):
    from onnxsim.quark_compat import ModelQuantizer, QConfig
    class Reader:
        def __init__(self): self.rest = iter(feeds)
        def get_next(self): return next(self.rest, None)
        def rewind(self): self.rest = iter(feeds)
    ModelQuantizer(QConfig.get_default_config(variant.split()[1])).quantize_model(model, written, Reader())
else:
    onnx.save(onnxsim.quantize_static(onnx.load(model), feeds, method=variant, full_graph=True), written)
"""
VARIANTS = {
    "onnxsim.quantize_static, full graph, min-max": "minmax",
    "onnxsim.quantize_static, full graph, mse": "mse",
    "onnxsim.quark_compat, U8S8_AAWS": "quark U8S8_AAWS",
    "onnxsim.quark_compat, U8S8_AAWS_ADAROUND": "quark U8S8_AAWS_ADAROUND",
}
LIMIT = 150  # seconds of one variant


@dataclass(frozen=True)
class Figure:
    """One cell: SQNR in dB, score, nodes in float as onnxruntime runs it, seconds; or why there is none."""

    sqnr_db: float = 0.0
    score: float | None = None
    float_nodes: int = 0
    seconds: float = 0.0
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return self.failure
        score = "" if self.score is None else f", {self.score:.4f}".replace(" 0.", " .")
        return f"{self.sqnr_db:.1f}{score}, {self.float_nodes} float, {self.seconds:.0f} s"


def figure(case: Case, model: Path, python: Path, variant: str, folder: Path, exact: Sequence[dict[str, np.ndarray]]) -> Figure:
    """What one variant makes of a network."""
    written, start = folder / "made.onnx", time.perf_counter()
    written.unlink(missing_ok=True)
    command = [str(python), "-c", PROGRAM, str(model), str(folder), str(written), variant]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT, env={"PATH": "/usr/bin:/bin"})
    except subprocess.TimeoutExpired:
        return Figure(failure=f"more than {LIMIT} s")
    seconds = time.perf_counter() - start
    if done.returncode or not written.exists():
        return Figure(failure=(done.stderr.strip().splitlines() or ["no model"])[-1][:60])
    score = None if case.score is None else case.score(written)
    audit = audit_optimized(written)
    return Figure(closeness(exact, written, case.evaluation).total, score, len(audit.float_nodes), seconds)


@click.command()
@click.option("--python", type=click.Path(path_type=Path, exists=True), required=True, help="A Python that has onnxsim.")
@click.option("--models", multiple=True, default=NETWORKS, metavar="GLOB", help="Only networks with such names.")
@click.option("-o", "page", type=click.Path(path_type=Path, dir_okay=False), help="The page whose table is written.")
def main(python: Path, models: tuple[str, ...], page: Path | None) -> None:
    """Measure the peer's variants, print a Markdown table, and write it into a page."""
    columns: dict[str, list[Figure]] = {}
    for name, open_case in named(available(), models).items():
        case, progress = open_case(), Progress(name)
        with tempfile.TemporaryDirectory(prefix="qconv-peers-") as place:
            folder, exact = Path(place), run_all(case.path, case.evaluation)
            for number, feed in enumerate(case.calibration):
                np.savez(folder / f"{number:04}.npz", allow_pickle=False, **feed)
            with theirs.quiet():
                model, _ = theirs.preprocess(case.path, folder / "float.onnx")
            columns[name] = []
            for words, variant in VARIANTS.items():
                progress.stage(words)
                columns[name].append(figure(case, model, python, variant, folder, exact))
                click.echo(f" ({columns[name][-1]})", nl=False, err=True)
        progress.end()
    lines = [
        f"SQNR in dB, score, float nodes, seconds. {machine()}.",
        "",
        line(["", *columns]),
        line(["---"] * (len(columns) + 1)),
    ]
    for number, words in enumerate(VARIANTS):
        lines.append(line([words, *(str(column[number]) for column in columns.values())]))
    if page is not None:
        between_marks(page, "\n".join(lines), BEGIN, END)
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
