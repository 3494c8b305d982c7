"""The same bytes on other processors: python -m benchmarks.other_cpus model.int8.onnx ... [--data samples.npz] [--cpu Haswell]

Runs each model here and under qemu's user emulation (Debian's package qemu-user), with every tensor of the integer graph as an
output, and counts the integers that differ. Haswell has AVX2 and no VNNI, Nehalem has SSE alone. `--arm FOLDER` is for a Neoverse
N1, with the arm64 system that benchmarks/arm_root.py makes. Without data, samples are normal noise. Ends with 1 where anything
differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from benchmarks import outputs_of
from benchmarks.arm_root import PYTHON, SITE
from benchmarks.feeds import Array, Feeds
from qconv.model.session import open_session

_SAMPLES = 4


@dataclass(frozen=True)
class Processor:
    """How Python is started on it."""

    name: str
    python: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def main() -> int:
    """Compares all models on all processors; the exit code."""
    options = _arguments()
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, options.models):
            exposed, samples = Path(folder) / "exposed.onnx", Path(folder) / "samples.npz"
            _expose(path, exposed)
            np.savez(samples, **dict(_samples(path, options.data)))  # type: ignore[arg-type]
            native = _outputs(exposed, samples, Processor("native", [sys.executable]))
            for processor in _processors(options):
                found = list(_differences(native, _outputs(exposed, samples, processor)))
                total, wrong = sum(array.size for array in native.values()), sum(count for _, count in found)
                worst = ", ".join(f"{name} {count}" for name, count in found[:3])
                print(f"{path.name:40} {processor.name:12} {wrong} of {total} elements differ {worst}", flush=True)
                differing += wrong
    return int(differing > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", help="an npz with one array of samples for each input")
    parser.add_argument("--cpu", action="append", help="an x86 processor that qemu knows  [default: Haswell and Nehalem]")
    parser.add_argument("--arm", help="the folder of an arm64 system, for a run on it too")
    return parser.parse_args()


def _processors(options: argparse.Namespace) -> Iterator[Processor]:
    for cpu in options.cpu or ([] if options.arm else ["Haswell", "Nehalem"]):
        yield Processor(cpu, ["qemu-x86_64", "-cpu", cpu, sys.executable])
    if options.arm:
        root = Path(options.arm).resolve()
        emulator = ["qemu-aarch64", "-cpu", "neoverse-n1", "-L", str(root), str(root / PYTHON)]
        yield Processor("neoverse-n1", emulator, {"PYTHONPATH": str(root / SITE)})


def _expose(model: Path, into: Path) -> None:
    """Writes the model with all tensors as its outputs."""
    proto = onnx.load(model)
    written = [name for node in proto.graph.node for name in node.output if name]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in written)
    onnx.save(proto, into)


def _outputs(model: Path, samples: Path, processor: Processor) -> dict[str, Array]:
    """All integer outputs for all samples, by tensor and sample."""
    results = model.with_name("results.npz")
    command = [*processor.python, str(Path(outputs_of.__file__)), str(model), str(samples), str(results)]
    inherited = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}  # it names the host's
    environment = {**inherited, **processor.environment}
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    with np.load(results) as arrays:
        return {name: array for name, array in arrays.items() if array.dtype.kind in "iu"}


def _samples(model: Path, data: str | None) -> Iterator[tuple[str, Array]]:
    """The first samples of a file, or noise, each with the batch that the model takes."""
    session = open_session(model, threads=1)
    sizes = {info.name: info.shape[0] if info.shape and isinstance(info.shape[0], int) else 1 for info in session.get_inputs()}
    if data is None:
        arrays = _noise(session)
    else:
        with np.load(data) as file:
            arrays = {name: file[name] for name in sizes}
    for index in range(min([_SAMPLES, *(len(array) // sizes[name] for name, array in arrays.items())])):
        for name, array in arrays.items():
            yield f"{name}#{index}", array[index * sizes[name] : (index + 1) * sizes[name]]


def _noise(session: ort.InferenceSession) -> Feeds:
    rng = np.random.default_rng(0)
    arrays: Feeds = {}
    for info in session.get_inputs():
        first, *others = [size if isinstance(size, int) else 1 for size in info.shape]
        arrays[info.name] = rng.normal(size=(first * _SAMPLES, *others)).astype(np.float32)
    return arrays


def _differences(native: dict[str, Array], other: dict[str, Array]) -> Iterator[tuple[str, int]]:
    """The tensors that differ, and in how many elements."""
    for name, array in native.items():
        count = int((array != other[name]).sum())
        if count:
            yield name, count


if __name__ == "__main__":
    sys.exit(main())
