"""onnx's own backend tests through calibrate, quantize and verify.

python -m benchmarks.backend_tests [--match GLOB] [--every N] [--workers N]

A row per model that did not come through: a crash, a defect, elements that differ, or an output below 20 dB without a warning.
The last line counts the outcomes. What no float network has (strings, sequences, no data that varies) is counted as refused.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

_LOWEST_DB = 20.0
_CHUNK = 40  # models that one process takes


def _stored() -> Iterator[Any]:
    """Tests that onnx has as files, some of them of opsets 6 to 9."""
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        yield from load_model_tests(kind=kind)


def _inputs(folder: str | None) -> list[Any]:
    """The first inputs of a test that onnx has as files."""
    paths = sorted(Path(str(folder)).glob("test_data_set_0/input_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) for path in paths]


def _array(value: Any) -> NDArray[Any] | None:
    """An input as an array; None for strings, sequences, and types that numpy has not."""
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    is_plain = isinstance(value, np.ndarray | np.generic) and value.dtype.isbuiltin == 1 and value.dtype != object
    return np.asarray(value) if is_plain else None


def write_tests(match: str, every: int, folder: Path) -> list[Path]:
    """The tests of the installed onnx as model files with their inputs beside them, by name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for case in (*collect_testcases(None), *_stored()) if fnmatchcase(case.name, match)]
    written = []
    for case in cases[::every]:
        path = folder / case.name / "model.onnx"
        path.parent.mkdir()
        proto = case.model if case.model is not None else onnx.load(Path(str(case.model_dir)) / "model.onnx")
        onnx.save(proto, path)
        inputs = case.data_sets[0][0] if case.data_sets else _inputs(case.model_dir)
        given = {f"input_{number}": _array(value) for number, value in enumerate(inputs)}
        arrays = {name: array for name, array in given.items() if array is not None}
        np.savez(path.parent / "inputs.npz", **arrays)  # type: ignore[arg-type]
        written.append(path)
    return written


def run(paths: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What becomes of models, in processes of their own; one that ends a process is known by the answer that is missing."""
    while paths:
        command = [sys.executable, "-m", "benchmarks.backend_case", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        yield from zip(paths, answers, strict=False)
        if len(answers) < len(paths):
            yield paths[len(answers)], {"crash": f"exit {done.returncode}"}
        paths = paths[len(answers) + 1 :]


def outcome(result: dict[str, Any]) -> tuple[str, str]:
    """A word and a sentence."""
    for word in ("crash", "defect", "refused"):
        if word in result:
            return word, str(result[word])
    if result["mismatches"]:
        return "differs", f"{result['mismatches']} elements"
    if result["db"] is not None and result["db"] < _LOWEST_DB:
        return ("warned" if result["warnings"] else "silent"), f"{result['db']:.1f} dB"
    return "good", ""


@click.command()
@click.option("--match", default="*", help="Only tests whose name this glob matches.")
@click.option("--every", default=1, help="Every n-th of them.")
@click.option("--workers", default=2, help="Processes at a time.")
@click.option("--refused", is_flag=True, help="Print what was refused too.")
def main(match: str, every: int, workers: int, refused: bool) -> None:
    """Runs the tests and prints what did not come through."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        paths = write_tests(match, every, Path(folder))
        chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
        for found in pool.map(lambda chunk: list(run(chunk)), chunks):
            for path, result in found:
                word, sentence = outcome(result)
                counts[word] += 1
                if word not in ("good", "warned") and (refused or word != "refused"):
                    click.echo(f"{word:8} {path.parent.name}: {sentence}")
    click.echo(f"onnx {onnx.__version__}: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
