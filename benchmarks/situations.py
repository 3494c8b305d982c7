"""Networks on which quantizers go wrong in silence, each built anew: what an integer model loses, and whether anything is said.

python -m benchmarks.situations [NAME...] [--other FOLDER] [--markdown FILE]

Each runs as a person runs it, with `qconv calibrate` and `qconv quantize`, and `qconv verify` where the trouble was there. The
figure is the signal to noise ratio at the worst output, or at its worst part where parts differ by much, from stock onnxruntime.
`--other` is a checkout of another version of qconv, which is measured beside this one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from benchmarks.feeds import ROOT, Array
from benchmarks.situation import Situation
from benchmarks.situation_list import SITUATIONS
from qconv.integer.language.audit import audit

_TIME_LIMIT = 240
_DEFECT = 70  # the exit code of a fault of qconv
_CALIBRATE, _QUANTIZE, _VERIFY = ("calibrate", "m.onnx", "--data", "d.npz"), ("quantize", "m.onnx"), ("verify", "m.onnx")


def commands(situation: Situation) -> Sequence[Sequence[str]]:
    """What a person runs."""
    return (_CALIBRATE, _QUANTIZE, (*_VERIFY, "--data", "d.npz")) if situation.verify else (_CALIBRATE, _QUANTIZE)


def write(situation: Situation, folder: Path) -> None:
    """m.onnx and d.npz."""
    onnx.save(situation.model(), folder / "m.onnx")
    np.savez(folder / "d.npz", x=situation.samples())


def outcome(situation: Situation, source: Path = ROOT) -> str:
    """What one version of qconv makes of it: dB, and what it said besides; or that it is refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(situation, folder)
        said = ""
        for command in commands(situation):
            run = subprocess.run(
                [sys.executable, "-m", "qconv", *command], cwd=folder, env={**os.environ, "PYTHONPATH": str(source)},
                capture_output=True, text=True, timeout=_TIME_LIMIT, check=False,
            )  # fmt: skip
            said += run.stderr
            if run.returncode:
                told = ", with a sentence" if run.stderr.count("\n") == 1 and run.returncode != _DEFECT else ""
                return f"{command[0]} ends with {run.returncode}{told}"
        return _figure(situation, folder) + (", warned of" if "warning" in said else "")


def _figure(situation: Situation, folder: Path) -> str:
    made = folder / "m.int8.onnx"
    if situation.size:
        return f"{made.stat().st_size / (folder / 'm.onnx').stat().st_size:.2f} of the file"
    db, left = worst_db(folder, situation.axis), len(audit(made).float_nodes)
    figure = "equal" if np.isinf(db) else f"{db:.1f} dB"
    return figure + (f", {left} in float" if left else "")


def worst_db(folder: Path, axis: int | None) -> float:
    """Over all samples; the signal of an output, or part, is what varies."""
    samples = np.load(folder / "d.npz")["x"]
    before, after = (_outputs(folder / name, samples) for name in ("m.onnx", "m.int8.onnx"))
    found = []
    for real, ours in zip(before, after, strict=True):
        if real.dtype.kind != "f":
            continue
        parts = [(real, ours)] if axis is None else zip(np.moveaxis(real, axis, 0), np.moveaxis(ours, axis, 0), strict=True)
        found += [_db(a.astype(np.float64), b.astype(np.float64)) for a, b in parts]
    return min(found, default=float("inf"))


def _db(real: Array, ours: Array) -> float:
    noise = np.mean((real - ours) ** 2)
    return float("inf") if noise == 0 else float(10 * np.log10(max(np.var(real), 1e-30) / noise))


def _outputs(path: Path, samples: Array) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, {"x": samples})]


_PAGE = """# Situations

Networks on which quantizers go wrong in silence, each built anew from its text form in `benchmarks/situation_list.py` and
`benchmarks/further_situations.py`. The
figure is the signal to noise ratio of the integer model against the float model in stock onnxruntime, over 24 samples, at
the worst output, or at its worst channel where parts differ by much; the signal is what varies. "In float" counts the nodes
that stay in float, each with its reason in what `quantize` prints. Nothing is tuned: every row is

    qconv calibrate m.onnx --data d.npz
    qconv quantize m.onnx

and, where the command is verify, `qconv verify m.onnx --data d.npz` after these; `python -m benchmarks.situations NAME` gives
a row again. "Before" is the version of {before}, run on the same files.

{rows}

Warned of are {warned}: a warning says what to try, or tells of what is not as it is meant to be. An exit code with a sentence is
a refusal that says what to do.
"""


def page(rows: Sequence[Sequence[str]], before: str) -> str:
    """The page of the documentation; `before` names the other version."""
    warned = [row[0] for row in rows if row[-1].endswith("warned of")]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return _PAGE.format(before=before, rows=table, warned=", ".join(warned) or "none")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of situations; all by default")
    parser.add_argument("--other", type=Path, help="a checkout of another version, measured beside this one")
    parser.add_argument("--before", default="an earlier commit", help="what the page calls the other version")
    parser.add_argument("--markdown", type=Path, help="write the page of the documentation")
    options = parser.parse_args()
    if unknown := set(options.names) - set(SITUATIONS):
        parser.error(f"there is no situation {', '.join(sorted(unknown))}; there are {', '.join(SITUATIONS)}")
    sources = ([] if options.other is None else [options.other]) + [ROOT]
    rows = [["situation", "command", *(["before"] if options.other else []), "now"]]
    rows.append(["---"] * len(rows[0]))
    for name in options.names or SITUATIONS:
        command = "verify" if SITUATIONS[name].verify else "quantize"
        rows.append([f"`{name}`", command, *(outcome(SITUATIONS[name], source) for source in sources)])
        print(" | ".join(rows[-1]), flush=True)
    if options.markdown:
        options.markdown.write_text(page(rows, options.before))


if __name__ == "__main__":
    main()
