"""An integer model in another form: a table that stands alone, C, test vectors, or memories for hardware."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.data.image_options import ImageOptions
from qconv.data.source import SampleSource, inputs_of
from qconv.errors import ModelError, OutputError, UsageError
from qconv.export.c.source import Sources, write_sources
from qconv.export.c.vectors import Sample
from qconv.export.network import Network
from qconv.export.qdq import qdq_model
from qconv.export.table import dumps, table_of
from qconv.export.trace import network_of, sizes_taken_as_one
from qconv.export.vectors import file_name, memory_files, vector_files
from qconv.integer.execution.executor import Executor
from qconv.integer.metadata import read_origin
from qconv.integer.program import Program
from qconv.model.load import LoadedModel, load
from qconv.model.save import save, write_text
from qconv.model.traits import Trait
from qconv.pipeline.open_source import open_source
from qconv.targets import TARGETS, Rules

Array = NDArray[Any]
FORMS = ("json", "c", "qdq", "tflite", "vectors", "memh")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}


@dataclass(frozen=True)
class Chip:
    """The memory of a processor in bytes; None where it does not matter."""

    flash: int | None = None
    ram: int | None = None

    @classmethod
    def parse(cls, flash: str | None, ram: str | None) -> Chip:
        """Reads sizes such as 512k. Raises UsageError for anything else."""
        return cls(*(None if text is None else _bytes(text) for text in (flash, ram)))


@dataclass(frozen=True)
class Exported:
    """The files that were written, the network, the C sources where it is in C, and free sizes that became 1."""

    files: tuple[Path, ...]
    network: Network | None
    sources: Sources | None = None
    taken_as_one: tuple[str, ...] = ()


def export(
    model: str | Path, form: str, output: Path, data: str | SampleSource | None = None, *, images: ImageOptions = ImageOptions(),
    samples: int = 4, everything: bool = False, name: str = "model",
) -> Exported:  # fmt: skip
    """Writes an integer model as `form`; `data` gives the samples of test vectors, by default random codes.

    `everything` puts all tensors into the vectors, `name` is what all names in C begin with. Raises ModelError, OutputError, and
    FloatNodesError where a node is in float or has no form there.
    """
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is None:
        raise UsageError(f"the name in C consists of letters, digits and _, and begins with a letter: {name!r} does not")
    loaded = load(model)
    if "qconv.version" not in loaded.ir.metadata_props:
        raise ModelError(f"{model} was not made by qconv; make an integer model with `qconv quantize` first")
    _refuse_other_forms(loaded.ir, model)
    if form == "qdq":
        save(qdq_model(loaded.ir), output)
        return Exported((output,), None)
    made = _of_one_sample(loaded, form, output, data, images, samples, everything, name)
    return replace(made, taken_as_one=tuple(sizes_taken_as_one(loaded.ir, made.network)))


def _of_one_sample(
    loaded: LoadedModel,
    form: str,
    output: Path,
    data: str | SampleSource | None,
    images: ImageOptions,
    samples: int,
    everything: bool,
    name: str,
) -> Exported:
    """The forms that have the sizes of one sample."""
    if form == "tflite":
        _write_bytes(output, _tflite(loaded.ir))
        return Exported((output,), None)
    network = network_of(loaded.ir)
    inputs = [replace(info, masks=True) for info in inputs_of(loaded.ir)]  # of -inf becomes the lowest code
    source = open_source(data, inputs, images) if isinstance(data, str) else data
    match form:
        case "json":
            return Exported(_write_table(network, loaded, output), network)
        case "c":
            found = list(islice(_runs(loaded.ir, network, source), samples))
            sources = write_sources(network, loaded.digest, [Sample(values) for values in found], prefix=name)
            return Exported(_write_all(output, sources.files.items()), network, sources)
        case "vectors":
            return Exported(_write_vectors(network, loaded.ir, output, source, samples, everything), network)
        case "memh":
            return Exported(_write_all(output, memory_files(network)), network)
    raise UsageError(f"--to takes {', '.join(FORMS)}, not {form}")


def _refuse_other_forms(model: ir.Model, path: str | Path) -> None:
    """Raises ModelError for models that are not made of the operators that an export reads."""
    origin = read_origin(model)
    mode, target = origin.mode, origin.target
    if mode != "static":
        raise ModelError(f"{path} was made with --mode {mode}, whose activations are in float; quantize without --mode to export")
    if target in TARGETS and Rules.STANDARD in TARGETS[target].rules:
        raise ModelError(f"{path} was made with --target {target}, for runtimes that read ONNX; quantize for another to export")


def _tflite(model: ir.Model) -> bytes:
    try:
        from qconv.export.tflite.file import tflite_model
    except ImportError as error:
        raise UsageError(f"--to tflite needs {error.name}; install it with: pip install 'qconv[tflite]'") from None
    return tflite_model(model)


def _write_table(network: Network, loaded: LoadedModel, output: Path) -> tuple[Path, ...]:
    blob = output.with_suffix(".bin")
    data, constants = table_of(network, loaded.digest, blob.name)
    _write_bytes(blob, constants)
    write_text(output, dumps(data))
    return output, blob


def _write_vectors(
    network: Network, model: ir.Model, folder: Path, source: SampleSource | None, samples: int, everything: bool
) -> tuple[Path, ...]:
    taken: set[str] = set()
    wanted = [*network.inputs, *network.outputs]
    if everything:
        wanted += [node.output for node in network.nodes]
    names = {name: file_name(name, taken) for name in dict.fromkeys(wanted)}
    written: list[Path] = []
    for index, values in enumerate(islice(_runs(model, network, source), samples)):
        known = {name: label for name, label in names.items() if name in values}
        written += _write_all(folder, vector_files(values, index, known))
        path = folder / f"sample{index}.npz"
        stream = io.BytesIO()
        arrays: dict[str, Any] = {name: values[name] for name in known}
        np.savez(stream, **arrays)
        _write_bytes(path, stream.getvalue())
        written.append(path)
    return tuple(written)


def _runs(model: ir.Model, network: Network, source: SampleSource | None) -> Iterator[Mapping[str, Array]]:
    """The codes of all tensors for one sample after another: those of the source, or random codes without end."""
    executor = Executor(Program.read(model))
    for feeds in random_feeds(model) if source is None else (sample.feeds for sample in source):
        single = {name: one_sample(array, model, name) for name, array in feeds.items()}
        yield executor.run(single)


def one_sample(array: Array, model: ir.Model, name: str) -> Array:
    """The first sample of a batch, as the network has the sizes of one."""
    value = next((v for v in model.graph.inputs if v.name == name), None)
    shape = None if value is None else value.shape
    if shape is None or not len(shape) or isinstance(shape[0], int):
        return array
    return array[:1]


def random_feeds(model: ir.Model) -> Iterator[dict[str, Array]]:
    """Reals of random codes over all that the types of the inputs hold."""
    program, seed = Program.read(model), 0
    first = {operand.name: operand.params for operand in program.inputs}
    for step in program.steps:
        if step.traits & Trait.QUANTIZES:
            first[step.operand(0).name] = step.writes[0].params
    while True:
        rng, feeds = np.random.default_rng(seed), dict[str, Array]()
        for value in model.graph.inputs:
            assert value.shape is not None and value.dtype is not None
            shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
            params, dtype = first.get(str(value.name)), np.dtype(value.dtype.numpy())
            if params is not None:
                codes = rng.integers(params.int_type.qmin, params.int_type.qmax + 1, shape).astype(params.int_type.dtype)
                feeds[str(value.name)] = params.dequantize(codes) if dtype.kind == "f" else codes
            else:
                feeds[str(value.name)] = rng.integers(0, 2, shape).astype(dtype)
        seed += 1
        yield feeds


def _write_all(folder: Path, files: Iterator[tuple[str, str]] | Any) -> tuple[Path, ...]:
    _guarded(folder, lambda: folder.mkdir(parents=True, exist_ok=True))
    written = []
    for name, text in files:
        write_text(folder / name, text)
        written.append(folder / name)
    return tuple(written)


def _write_bytes(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    _guarded(path, lambda: draft.write_bytes(data))
    _guarded(path, lambda: draft.replace(path))


def _guarded(path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}); check the folder and the space left") from None


def _bytes(text: str) -> int:
    number, unit = text.lower().removesuffix("b"), ""
    if number and number[-1] in "km":
        number, unit = number[:-1], number[-1]
    if not number.isdigit() or len(number) > 12:
        raise UsageError(f"a size of memory is written as 512k or 1m, not {text}")
    return int(number) * _UNITS[unit]
