"""What `qconv quantize --max-drop 0.5 --time-limit 60` reaches on every network of the zoo that has a score, and when it returns.

    python -m benchmarks.goals -o docs/budgets.md

The command is given the calibration samples without labels; scores are of other samples. The page's other parts stay.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.cases import zoo_folder, zoo_module
from benchmarks.page import Progress, between_marks, line, machine

BEGIN, END = "<!-- goals -->", "<!-- end of goals -->"
SAMPLES = 100
LIMIT = 60


@dataclass(frozen=True)
class Outcome:
    """One row: scores, what the command says of it, its exit code, and the seconds that it took."""

    name: str
    before: float
    after: float
    tried: int
    taken: str
    code: int
    seconds: float


def outcome(name: str, module: Any, folder: Path) -> Outcome:
    """Runs the command on one network, as a user does."""
    feeds = list(module.feeds(name, "calib", SAMPLES))
    for number, feed in enumerate(feeds):
        np.savez(folder / f"{number:04}.npz", **feed)
    model, written = zoo_folder() / "models" / f"{name}.onnx", folder / "made" / "q.onnx"
    written.parent.mkdir()
    data = ["--data", str(folder), "-o", str(written)]
    command = [sys.executable, "-m", "qconv", "quantize", str(model), *data, "--max-drop", "0.5", "--time-limit", str(LIMIT)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    said = done.stdout.splitlines()
    taken = next((text.removeprefix("taken: ") for text in said if text.startswith("taken: ")), done.stderr.strip()[:160])
    tried = sum(text.startswith("  tried: ") and "no time" not in text for text in said)
    return Outcome(name, module.score(name), module.score(name, written), tried, taken, done.returncode, seconds)


def table(rows: Sequence[Outcome]) -> str:
    """A Markdown table."""
    head = ("network", "score before", "score after", "points lost", "attempts", "taken", "exit code", "seconds")
    lines = [f"{machine()}.", "", line(head), line(["---", *["---:"] * 4, "---", "---:", "---:"])]
    for row in rows:
        points = f"{100 * (row.before - row.after):.2f}"
        numbers = (f"{row.before:.4f}", f"{row.after:.4f}", points, str(row.tried))
        lines.append(line([row.name, *numbers, row.taken, str(row.code), f"{row.seconds:.0f}"]))
    return "\n".join(lines)


@click.command()
@click.argument("names", nargs=-1)
@click.option("-o", "page", type=click.Path(path_type=Path, dir_okay=False), help="The page whose table is written.")
def main(names: tuple[str, ...], page: Path | None) -> None:
    """Run the command on networks of the zoo, by default on all, print a Markdown table, and write it into a page."""
    module, rows = zoo_module(), []
    for name in names or module.SCORES:
        progress = Progress(name)
        with tempfile.TemporaryDirectory(prefix="qconv-goals-") as folder:
            rows.append(outcome(name, module, Path(folder)))
        progress.end()
        click.echo(table(rows[-1:]).splitlines()[-1], err=True)
    if page is not None:
        between_marks(page, table(rows), BEGIN, END)
    click.echo(table(rows))


if __name__ == "__main__":
    main()
