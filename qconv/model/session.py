"""Inference sessions of onnxruntime, with large weights handed over instead of copied through protobuf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from qconv.errors import ModelError, UsageError
from qconv.model.light import LightModel, light_model
from qconv.model.memory import share_memory
from qconv.model.qonnx import has_qonnx, holds_qonnx, write_standard
from qconv.model.traits import Trait, has_trait

MOST_THREADS = 1024
_LARGE_MODEL = 1_500_000_000  # bytes; above it a file of onnxruntime needs its weights beside it (protobuf ends at 2 GB)

_SOURCE = re.compile(r"^\S+\.cc:\d+ (\S+ )?")  # file, line and function in onnxruntime's sources


class _Session(ort.InferenceSession):  # type: ignore[misc]  # onnxruntime ships no types
    """A session that keeps the arrays alive whose memory it was given."""

    def __init__(self, source: str | bytes, options: ort.SessionOptions, lent: Sequence[ort.OrtValue] = ()) -> None:
        # Without its fallback onnxruntime prints nothing to the terminal.
        super().__init__(source, options, providers=["CPUExecutionProvider"], enable_fallback=False)
        self._lent = lent


def open_session(
    model: ir.Model | str | Path,
    *,
    outputs: Sequence[str] | None = None,
    threads: int = 0,
    optimize: bool = True,
    optimized_path: Path | None = None,
    fuse_quantized: bool = True,
) -> ort.InferenceSession:
    """A CPU session for a model or a file.

    `outputs` are values of the main graph to expose in place of the declared outputs; the model itself is not changed.
    `threads` 0 is onnxruntime's default. `optimized_path` receives the graph that onnxruntime runs after its optimization.
    Without `fuse_quantized`, a DequantizeLinear, an op and a QuantizeLinear stay three nodes: onnxruntime 1.31 computes some
    of these fusions wrongly where scales are inputs of the graph.
    Raises ModelError with onnxruntime's reason, or where `outputs` names a value that is not there.
    """
    options = _options(threads, optimize)
    if not fuse_quantized or (isinstance(model, ir.Model) and _takes_codes(model.graph)):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if isinstance(model, ir.Model):
        light = light_model(model)
        return _open("the model", _prepared(light, options, outputs, optimized_path), options, _lend(light, options))
    path = Path(model)
    if outputs is None and not holds_qonnx(path):
        _write_optimized(options, optimized_path, _size(path))
        return _open(path.name, str(path), options, ())
    light = LightModel(_parse(path), {}, path.resolve().parent)
    return _open(path.name, _prepared(light, options, outputs, optimized_path), options, ())


def _takes_codes(graph: ir.Graph) -> bool:
    """Whether reals are made of the codes of an input: onnxruntime 1.31 moves them to other types and refuses its own graph."""
    users = (user for value in graph.inputs for user in value.consumers())
    return any(has_trait(user, Trait.DEQUANTIZES) for user in users)


def check_file(path: Path, *, optimize: bool) -> None:
    """Raise ModelError with onnxruntime's reason if it cannot load a file; weights are not repacked, so this is cheap."""
    options = _options(1, optimize)
    options.add_session_config_entry("session.disable_prepacking", "1")
    _open(path.name, str(path), options, ())


def reason(error: BaseException) -> str:
    """What onnxruntime says, without its codes, source paths and further lines, as the end of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    if text.startswith("/") and len(lines) > 1:
        text = lines[-1]
    return _SOURCE.sub("", text).rstrip(". ")[:300]


def _options(threads: int, optimize: bool) -> ort.SessionOptions:
    share_memory()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights apart from activations, or their memory could not be given back while the session is open.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.log_severity_level = 4
    if not 0 <= threads <= MOST_THREADS:
        raise UsageError(f"the number of threads is 0, for all cores, or up to {MOST_THREADS}, not {threads}")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its plan of the memory comes on top of what the first run took: up to twice as much where activations are large. What it
    # saves is 3 to 5 % of the time of networks below a millisecond.
    options.enable_mem_pattern = False
    # Spinning workers steal the cores of other sessions in this process; a single thread has no workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _prepared(
    light: LightModel, options: ort.SessionOptions, outputs: Sequence[str] | None, optimized_path: Path | None
) -> bytes:
    if outputs is not None:
        _expose(light.proto.graph, outputs)
    if light.folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(light.folder))
    _write_optimized(options, optimized_path, light.nbytes)
    return bytes(light.proto.SerializeToString())


def _expose(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    known = {name for node in graph.node for name in node.output} | {info.name for info in graph.input}
    known |= {tensor.name for tensor in graph.initializer}
    for name in outputs:
        if name not in known:
            raise ModelError(f"the graph has no value '{name}' to expose: name an output of one of its nodes")
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)


def _lend(light: LightModel, options: ort.SessionOptions) -> list[ort.OrtValue]:
    values = [ort.OrtValue.ortvalue_from_numpy(_aligned(array)) for array in light.arrays.values()]
    if values:
        options.add_external_initializers(list(light.arrays), values)
    return values


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _write_optimized(options: ort.SessionOptions, path: Path | None, nbytes: int) -> None:
    if path is None:
        return
    options.optimized_model_filepath = str(path)
    if nbytes > _LARGE_MODEL:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{path.name}.data")


def _open(name: str, source: str | bytes, options: ort.SessionOptions, lent: Sequence[ort.OrtValue]) -> ort.InferenceSession:
    try:
        return _Session(source, options, lent)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"onnxruntime cannot run {name}: {reason(error)}") from error


def _parse(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError comes from a private module
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from error
    if has_qonnx(proto):
        write_standard(proto)
    return proto


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
