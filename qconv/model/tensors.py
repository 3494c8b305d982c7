"""Are the tensors of an untrusted message what they claim to be? Asked before anything is allocated for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
import onnx_ir as ir

from qconv.errors import ModelError

_LARGEST = 1 << 62  # bytes; beyond it sizes overflow in int64, even where another dimension is zero
_WIDE_FIELDS = {
    ir.DataType.FLOAT: "float_data",
    ir.DataType.COMPLEX64: "float_data",
    ir.DataType.DOUBLE: "double_data",
    ir.DataType.COMPLEX128: "double_data",
    ir.DataType.INT64: "int64_data",
    ir.DataType.UINT32: "uint64_data",
    ir.DataType.UINT64: "uint64_data",
    ir.DataType.STRING: "string_data",
}  # every other type lies in int32_data


def check_tensors(model: onnx.ModelProto, folder: Path) -> list[Path]:
    """Check every tensor: initializers, attributes, subgraphs, functions. The external files in use, sorted.

    Raises ModelError for shapes that do not fit the bytes, for sparse tensors, and for external data outside `folder`.
    """
    files: set[Path] = set()
    for tensor in _tensors_of_model(model):
        _check_claim(tensor)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            files.add(_check_external(tensor, folder))
        else:
            _check_content(tensor)
    return sorted(files)


def _tensors_of_model(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_attributes(function.attribute_proto)
        for node in function.node:
            yield from _tensors_of_attributes(node.attribute)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    if graph.sparse_initializer:
        raise _sparse(graph.sparse_initializer[0].values.name)
    yield from graph.initializer
    for node in graph.node:
        yield from _tensors_of_attributes(node.attribute)


def _tensors_of_attributes(attributes: Iterator[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise _sparse(attribute.name)
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _tensors_of_graph(attribute.g)
        for graph in attribute.graphs:
            yield from _tensors_of_graph(graph)


def _check_claim(tensor: onnx.TensorProto) -> None:
    if tensor.data_type not in {int(known) for known in ir.DataType} or tensor.data_type == ir.DataType.UNDEFINED:
        raise ModelError(f"tensor '{tensor.name}' has the unknown element type {tensor.data_type}: the model file is damaged")
    if any(dim < 0 for dim in tensor.dims):
        raise ModelError(f"tensor '{tensor.name}' has the negative shape {list(tensor.dims)}: the model file is damaged")
    if math.prod(max(dim, 1) for dim in tensor.dims) * 16 > _LARGEST:
        raise ModelError(f"tensor '{tensor.name}' has the impossible shape {list(tensor.dims)}: the model file is damaged")
    if tensor.HasField("segment"):
        raise ModelError(f"tensor '{tensor.name}' is stored in segments, which are not supported: save the model anew")


def _check_content(tensor: onnx.TensorProto) -> None:
    """The bytes in the message are as many as the shape asks for."""
    kind = ir.DataType(tensor.data_type)
    if tensor.HasField("raw_data"):
        found, wanted, unit = len(tensor.raw_data), _nbytes(tensor), "bytes"
    else:
        field = _WIDE_FIELDS.get(kind, "int32_data")
        found, wanted, unit = len(getattr(tensor, field)), _entries(tensor, kind), "elements"
    if found != wanted:
        raise ModelError(
            f"tensor '{tensor.name}' of shape {list(tensor.dims)} needs {wanted} {unit} but the file has {found}: "
            "the model file is damaged"
        )


def _entries(tensor: onnx.TensorProto, kind: ir.DataType) -> int:
    size: int = math.prod(tensor.dims)
    if kind in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        return 2 * size
    packed = kind != ir.DataType.STRING and kind.bitwidth < 8
    return _whole_bytes(size, kind) if packed else size


def _nbytes(tensor: onnx.TensorProto) -> int:
    kind = ir.DataType(tensor.data_type)
    if kind == ir.DataType.STRING:
        raise ModelError(f"tensor '{tensor.name}' holds strings as raw bytes, which ONNX forbids: the model file is damaged")
    return _whole_bytes(math.prod(tensor.dims), kind)


def _whole_bytes(size: int, kind: ir.DataType) -> int:
    bits: int = kind.bitwidth
    return (size * bits + 7) // 8


def _check_external(tensor: onnx.TensorProto, folder: Path) -> Path:
    """The file of an external tensor: inside the model's folder, and long enough."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _external_path(tensor.name, entries.get("location", ""), folder)
    offset, nbytes = _number(tensor.name, entries, "offset", 0), _nbytes(tensor)
    if _number(tensor.name, entries, "length", nbytes) != nbytes:
        raise ModelError(
            f"tensor '{tensor.name}' of shape {list(tensor.dims)} needs {nbytes} bytes but its external data has "
            f"{entries['length']}: the model file is damaged"
        )
    if offset + nbytes > path.stat().st_size:
        raise ModelError(f"tensor '{tensor.name}' reaches beyond the end of {path.name}: the external data is cut short")
    return path


def _external_path(name: str, location: str, folder: Path) -> Path:
    parts = PurePosixPath(location), PureWindowsPath(location)
    if not location or any(path.is_absolute() or path.drive or ".." in path.parts for path in parts) or "\0" in location:
        raise ModelError(f"tensor '{name}' has its data at '{location}', outside the folder of the model: refused")
    path = (folder / location).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"tensor '{name}' has its data at '{location}', a link that leaves the folder of the model: refused")
    if not path.is_file():
        raise ModelError(f"tensor '{name}' has its data in '{location}', which is not beside the model: put the file there")
    if path.stat().st_nlink > 1:
        raise ModelError(f"tensor '{name}' has its data in '{location}', a file with several hard links: copy the file")
    return path


def _number(name: str, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ModelError(f"tensor '{name}' has the {key} '{text}' in its external data: the model file is damaged")
    return int(text)


def _sparse(name: str) -> ModelError:
    return ModelError(f"tensor '{name}' is sparse, which is not supported: store it as a dense initializer")
