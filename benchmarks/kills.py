"""Runs that are killed: what is there afterwards is whole, and the next run leaves nothing else behind.

python -m benchmarks.kills [--number N] [--seed S]

Each run is `calibrate` or `quantize` of a sample model over the results of the one before it, ended by SIGKILL at a random time.
Then every file must be one that was there before, or a whole new one: calibrations load, models load, and a table that belongs
to another model than the one beside it is told of by `verify`. At the end one run goes through, after which no other file may
be left.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from qconv.errors import QconvError
from qconv.integer.multiplier_table import stale_table
from qconv.model.load import load
from qconv.statistics.calibration import Calibration

SAMPLES = Path(__file__).parent.parent / "sample_models"
COMMANDS = (["calibrate", "m.onnx", "--data", "d.npz"], ["quantize", "m.onnx", "--effort", "none"])
RESULTS = {"d.npz", "m.calib.json", "m.int8.json", "m.int8.onnx", "m.onnx"}


def run(folder: Path, arguments: list[str], seconds: float | None) -> int:
    """The exit code of a command in a folder, killed after so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "qconv", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _seconds(folder: Path, command: list[str]) -> float:
    """How long a whole run takes."""
    start = time.monotonic()
    assert run(folder, command, None) == 0
    return time.monotonic() - start


def faults(folder: Path) -> list[str]:
    """What is not whole."""
    found = []
    try:
        if (folder / "m.calib.json").exists():
            Calibration.load(folder / "m.calib.json")
        if (folder / "m.int8.onnx").exists():
            digest = load(folder / "m.int8.onnx").digest
            if stale_table(folder / "m.int8.onnx", digest) is not None:
                found.append("told: the table is that of the model before")
            elif not (folder / "m.int8.json").exists():
                found.append("told: there is no table yet")
    except QconvError as error:
        found.append(f"HALF-WRITTEN: {error}")
    return found


@click.command()
@click.option("--number", default=200, help="How many runs are killed.")
@click.option("--seed", default=0, help="For the times of the kills.")
def main(number: int, seed: int) -> None:
    """Kills runs and prints what was found."""
    rng, counts = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(SAMPLES / "digits_mlp.onnx", folder / "m.onnx")
        shutil.copy(SAMPLES / "digits_calib.npz", folder / "d.npz")
        usual = [_seconds(folder, command) for command in COMMANDS]
        for turn in range(number):
            which, start = turn % len(COMMANDS), time.monotonic()
            code = run(folder, COMMANDS[which], rng.uniform(0.3, 1.0) * usual[which])
            if code >= 0:
                usual[which] = time.monotonic() - start  # machines are not always as busy
            counts["killed" if code < 0 else "ended before"] += 1
            counts.update(faults(folder))
        for command in COMMANDS:
            assert run(folder, command, None) == 0
        counts.update(faults(folder))
        left = sorted(path.name for path in folder.iterdir() if path.name not in RESULTS)
    for what, count in sorted(counts.items()):
        click.echo(f"{count:4} {what}")
    click.echo(f"left behind after the last whole run: {', '.join(left) or 'nothing'}")
    sys.exit(bool(left) or any(what.startswith("HALF") for what in counts))


if __name__ == "__main__":
    main()
