"""Damaged files: each ends in a result, or in one sentence and a documented exit code, and nothing half-written is left.

python -m benchmarks.damaged [--number N] [--seed S]

A model, an integer model, a calibration, a plan, samples, a picture, labels, settings and a report are damaged by flipped,
missing, doubled and inserted bytes, and by cutting; then the commands that read them run, many in one process, and a crash of
that process counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from PIL import Image

from qconv.cli.main import run

SAMPLES = Path(__file__).parent.parent / "sample_models"
READERS = {
    "m.onnx": (["calibrate", "m.onnx", "--data", "d.npz", "-o", "new"], ["inspect", "m.onnx"]),
    "m.int8.onnx": (
        ["verify", "m.onnx", "m.int8.onnx", "--data", "d.npz"],
        ["export", "m.int8.onnx", "--to", "json", "-o", "new"],
    ),
    "m.int8.json": (["verify", "m.onnx", "m.int8.onnx", "--data", "d.npz"],),
    "m.calib.json": (["quantize", "m.onnx", "--effort", "none", "-o", "new.onnx"], ["inspect", "m.calib.json"]),
    "plan.json": (["quantize", "m.onnx", "--plan", "plan.json", "-o", "new.onnx"],),
    "d.npz": (["calibrate", "m.onnx", "--data", "d.npz", "-o", "new"],),
    "pictures/a.png": (["calibrate", "m.onnx", "--data", "pictures", "-o", "new"],),
    "labels.csv": (["verify", "m.onnx", "--data", "d.npz", "--labels", "labels.csv"],),
    "settings.toml": (["quantize", "m.onnx", "--config", "settings.toml", "-o", "new.onnx"],),
    "report.json": (["report", "report.json", "report.json", "-o", "new"],),
}
_CHUNK = 50


def write_files(folder: Path) -> None:
    """Whole files of all kinds."""
    shutil.copy(SAMPLES / "digits_mlp.onnx", folder / "m.onnx")
    data = np.load(SAMPLES / "digits_calib.npz")
    np.savez(folder / "d.npz", **{name: data[name][:20] for name in data.files})
    (folder / "pictures").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)).save(folder / "pictures" / "a.png")
    (folder / "labels.csv").write_text("file,class\n" + "".join(f"{n},{n % 10}\n" for n in range(20)))
    (folder / "settings.toml").write_text('bits = 8\nexclude = ["Relu"]\n[[rule]]\nmatch = ["Gemm"]\nweight-bits = 4\n')
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
        assert run(["quantize", "m.onnx", "--save-plan", "plan.json"]) == 0
        with Path("report.json").open("w") as stream, contextlib.redirect_stdout(stream):
            assert run(["verify", "m.onnx", "--json"]) == 0


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one kind of damage."""
    place, size = rng.randrange(len(data)), rng.choice((1, 1, 2, 8, 100))
    match rng.randrange(5):
        case 0:
            return data[:place]
        case 1:
            return data[:place] + data[place + size :]
        case 2:
            return data[:place] + data[place : place + size] + data[place:]
        case 3:
            return data[:place] + rng.randbytes(size) + data[place:]
    flipped = bytearray(data)
    for _ in range(size):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def attempts(first: int, count: int) -> Iterator[dict[str, object]]:
    """What becomes of the damages number `first` and on; each has a seed of its own."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        write_files(Path())
        for number in range(first, first + count):
            rng = random.Random(number)
            file = list(READERS)[number % len(READERS)]
            whole = Path(file).read_bytes()
            Path(file).write_bytes(damaged(whole, rng))
            before = {path.name for path in Path().iterdir()}
            said = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                code = run(list(rng.choice(READERS[file])))
            left = sorted({path.name for path in Path().iterdir()} - before)
            lines = [line for line in said.getvalue().splitlines() if not line.startswith(("warning:", "hint:"))]
            yield {"number": number, "file": file, "code": code, "lines": lines, "left": left}
            Path(file).write_bytes(whole)
            for path in left:
                shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


def fault(found: dict[str, object]) -> str | None:
    """What is wrong with an outcome; None where all is well. click adds its lines of usage."""
    code, lines, left = found["code"], found["lines"], found["left"]
    assert isinstance(lines, list) and isinstance(left, list)
    told = [line for line in lines if line and not line.startswith(("Usage: ", "Try "))]
    if code not in range(9):
        return f"exit {code}: {told[-1:]}"
    if code != 0 and len(told) != 1 and not (code == 1 and not told):
        return f"{len(told)} lines: {told}"
    left = [name for name in left if not name.endswith(".partial")]  # progress, from which --resume goes on
    return f"left {left}" if code not in (0, 1) and left else None


@click.command()
@click.option("--number", default=500, help="How many files are damaged.")
@click.option("--seed", default=0, help="The first of the seeds.")
@click.option("--one", is_flag=True, hidden=True, help="In this process; a line of JSON for each.")
def main(number: int, seed: int, one: bool) -> None:
    """Damages files and prints what did not end well."""
    if one:
        for found in attempts(seed, number):
            print(json.dumps(found), flush=True)
        return
    counts, bad = Counter[str](), 0
    start, end = seed, seed + number
    while start < end:
        command = [
            sys.executable,
            "-m",
            "benchmarks.damaged",
            "--one",
            "--seed",
            str(start),
            "--number",
            str(min(_CHUNK, end - start)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        for found in answers:
            counts[f"exit {found['code']}"] += 1
            if (sentence := fault(found)) is not None:
                bad += 1
                click.echo(f"{found['number']} {found['file']}: {sentence}")
        start += len(answers)
        if done.returncode:
            bad += 1
            click.echo(f"{start}: the process ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
            start += 1
    click.echo(
        f"{number} damaged files: {bad} bad; " + ", ".join(f"{count} with {code}" for code, count in sorted(counts.items()))
    )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
