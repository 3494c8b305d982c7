"""The same bytes on other processors: python -m benchmarks.other_cpus model.int8.onnx ... [--data samples.npz] [--cpu Haswell]

Runs each model here and under qemu's user emulation (Debian's package qemu-user), with every tensor of the integer graph as an
output, and counts the elements that differ. Haswell has AVX2 and no VNNI; Nehalem has SSE alone. Without data, samples are
normal noise. Ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.feeds import Array, Feeds
from qconv.model.session import open_session

_SAMPLES = 4


def main() -> int:
    """Compares all models on all processors; the exit code."""
    options = _arguments()
    if options.into is not None:
        _run_here(Path(options.models[0]), Path(options.data), Path(options.into))
        return 0
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, options.models):
            samples = Path(options.data) if options.data else _noise(path, Path(folder) / "samples.npz")
            native = _outputs(path, samples, Path(folder), None)
            for cpu in options.cpu or ["Haswell", "Nehalem"]:
                found = list(_differences(native, _outputs(path, samples, Path(folder), cpu)))
                total = sum(array.size for array in native.values())
                worst = ", ".join(f"{name} {count}" for name, count in found[:3])
                print(f"{path.name:40} {cpu:10} {sum(n for _, n in found)} of {total} elements differ {worst}", flush=True)
                differing += sum(count for _, count in found)
    return int(differing > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", help="an npz with one array of samples for each input")
    parser.add_argument("--cpu", action="append", help="a processor that qemu knows")
    parser.add_argument("--into", help=argparse.SUPPRESS)  # what a run under emulation writes
    return parser.parse_args()


def _outputs(model: Path, samples: Path, folder: Path, cpu: str | None) -> dict[str, Array]:
    """All integer tensors of all samples, by tensor and sample."""
    result = folder / "result.npz"
    emulator = [] if cpu is None else ["qemu-x86_64", "-cpu", cpu]
    command = [sys.executable, "-m", "benchmarks.other_cpus", str(model), "--data", str(samples), "--into", str(result)]
    done = subprocess.run([*emulator, *command], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    with np.load(result) as arrays:
        return dict(arrays)


def _run_here(model: Path, samples: Path, into: Path) -> None:
    names = [name for name, kind in _tensors(model) if kind]
    session = open_session(model, outputs=names, threads=1)
    found: dict[str, Array] = {}
    for index, feeds in enumerate(_feeds(session, samples)):
        found |= {f"{name}#{index}": array for name, array in zip(names, session.run(None, feeds), strict=True)}
    np.savez(into, **found)  # type: ignore[arg-type]


def _tensors(model: Path) -> Iterator[tuple[str, bool]]:
    """All tensors that nodes of a model write, and whether they hold 8-bit codes."""
    import onnx_ir as ir

    for node in ir.load(model).graph:
        for value in node.outputs:
            yield str(value.name), value.dtype in (ir.DataType.UINT8, ir.DataType.INT8)


def _feeds(session: ort.InferenceSession, samples: Path) -> Iterator[Feeds]:
    """The first samples of a file, each with the batch that the model takes."""
    with np.load(samples) as arrays:
        by_name = {info.name: arrays[info.name] for info in session.get_inputs()}
    sizes = {info.name: info.shape[0] if info.shape and isinstance(info.shape[0], int) else 1 for info in session.get_inputs()}
    for index in range(min([_SAMPLES, *(len(array) // sizes[name] for name, array in by_name.items())])):
        yield {name: array[index * sizes[name] : (index + 1) * sizes[name]] for name, array in by_name.items()}


def _noise(model: Path, into: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays: Feeds = {}
    for info in open_session(model, threads=1).get_inputs():
        first, *others = [size if isinstance(size, int) else 1 for size in info.shape]
        arrays[info.name] = rng.normal(size=(first * _SAMPLES, *others)).astype(np.float32)
    np.savez(into, **arrays)  # type: ignore[arg-type]
    return into


def _differences(native: dict[str, Array], other: dict[str, Array]) -> Iterator[tuple[str, int]]:
    """The tensors that differ, and in how many elements."""
    for name, array in native.items():
        count = int((array != other[name]).sum())
        if count:
            yield name, count


if __name__ == "__main__":
    sys.exit(main())
