"""From a path to a checked message: the file is what it says, safe to open, and onnxruntime can run it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from qconv.errors import ModelError
from qconv.model.functions import check_functions, nodes_within
from qconv.model.near_paths import path_hint
from qconv.model.qonnx import has_qonnx, write_standard
from qconv.model.sparse import make_dense
from qconv.model.tensors import check_tensors

# The newest that the installed onnx defines. Whether the installed onnxruntime loads it, loading tells.
NEWEST_OPSET = onnx.defs.onnx_opset_version()
NEWEST_IR = int(onnx.IR_VERSION)
EARLY_OPS = frozenset({"ImageScaler"})  # of onnx before 1.0; onnxruntime has them still, and loading writes them in today's ops
OWN_OPS = frozenset({"SimplifiedLayerNormalization"})  # that onnxruntime has in the standard's domain
_LIMIT = (1 << 31) - 1  # bytes of a protobuf message
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """A model file that has passed all checks which need no onnxruntime; `digest` covers its external data too.

    Operators of QONNX are `rewritten` in `proto`, as onnxruntime does not know them.
    """

    path: Path
    digest: str
    proto: onnx.ModelProto
    rewritten: bool = False


def read_model(path: Path) -> ModelFile:
    """The message in a file, with nothing allocated that the file does not hold. Raises ModelError."""
    data = _read(path)
    proto = _parse(data, path)
    _check_versions(proto, path)
    rewritten = has_qonnx(proto)
    if rewritten:
        write_standard(proto)
    _check_domains(proto)
    check_functions(proto)
    _check_types(proto.graph)
    make_dense(proto)
    files = check_tensors(proto, path.parent)
    return ModelFile(path, _digest(data, files), proto, rewritten)


def has_digest(path: Path, digest: str | None) -> bool:
    """Whether a model file and its external data have this digest; one without external data is not parsed. Raises ModelError."""
    return digest is not None and (_digest(_read(path), ()) == digest or read_model(path).digest == digest)


def digest_of(files: Sequence[Path]) -> str:
    """The SHA-256, in hex, of the files of a model: that of its graph, and those of its external data. Raises ModelError."""
    return _digest(_read(files[0]), files[1:])


def _read(path: Path) -> bytes:
    if not path.exists():
        raise ModelError(f"there is no file {path}; {path_hint(path)}")
    if not path.is_file():
        raise ModelError(f"{path} is not a file: give the path of an .onnx file")
    try:
        size = path.stat().st_size
        if size > _LIMIT:
            raise ModelError(f"{path} is larger than 2 GB, which no ONNX file can be: store the weights as external data")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise ModelError(f"{path} is empty: export the model again")
    return data


def _parse(data: bytes, path: Path) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError has no typed module of its own
        raise ModelError(f"{path} is not an ONNX model, or is cut short: export or download it again") from error
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{path} holds no graph: export the model again")
    proto.ClearField("training_info")
    return proto


def _check_versions(proto: onnx.ModelProto, path: Path) -> None:
    opsets = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if not opsets and any(node.domain in ("", "ai.onnx") for node in proto.graph.node):
        raise ModelError(f"{path} names no opset, so its nodes have no meaning: export the model again")
    if len(set(opsets)) > 1:
        raise ModelError(f"{path} names several opsets of ai.onnx, {sorted(set(opsets))}: export the model again")
    if any(version > NEWEST_OPSET for version in opsets):
        raise ModelError(f"{path} has opset {opsets[0]}, and the newest known here is {NEWEST_OPSET}: export to an older opset")
    if proto.ir_version > NEWEST_IR:
        raise ModelError(
            f"{path} has IR version {proto.ir_version}, and the newest known here is {NEWEST_IR}: export with an older IR version"
        )


def _check_domains(proto: onnx.ModelProto) -> None:
    """Refuses ops other than those that onnx or onnxruntime defines, or a function of the model itself."""
    functions = {(function.domain, function.name) for function in proto.functions}
    bodies = [node for function in proto.functions for node in nodes_within(function.node)]
    for node in [*nodes_within(proto.graph.node), *bodies]:
        known = node.domain in ("com.microsoft", "ai.onnx.ml") or (node.domain, node.op_type) in functions
        if known or (node.domain in ("", "ai.onnx") and (onnx.defs.has(node.op_type) or node.op_type in EARLY_OPS | OWN_OPS)):
            continue
        op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise ModelError(f"node '{node.name}' is the custom op {op}, which onnx does not define: replace or remove it")


def _check_types(graph: onnx.GraphProto) -> None:
    """Refuses maps, as ZipMap makes them: they are no tensors, and no graph of tensors can give them."""
    for info in (*graph.input, *graph.output):
        if info.type.HasField("map_type") or info.type.sequence_type.elem_type.HasField("map_type"):
            raise ModelError(
                f"'{info.name}' holds maps, not a tensor, as ZipMap makes them: export the probabilities as a tensor, which "
                "skl2onnx does with options={'zipmap': False}"
            )


def _digest(data: bytes, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(data)
    for path in files:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
