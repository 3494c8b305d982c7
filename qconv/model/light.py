"""A model as protobuf without its large weights: nothing big is copied, and protobuf's limit of 2 GB is not met."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

_HANDED_OVER = 1 << 20  # bytes; smaller tensors are cheaper inside the protobuf message
_SMALL = 1024  # bytes; constants that shape inference and converters may want to read
_ELSEWHERE = "handed over"  # the location of tensors whose bytes are not in any file


@dataclass(frozen=True)
class LightModel:
    """A message whose large tensors are external: in files of `folder`, or in `arrays` by name."""

    proto: onnx.ModelProto
    arrays: dict[str, NDArray[Any]]
    folder: Path | None

    @property
    def nbytes(self) -> int:
        """The size of the whole model."""
        external = sum(int(entry.value) for tensor in self.proto.graph.initializer for entry in _lengths(tensor))
        return int(self.proto.ByteSize()) + external


def light_model(model: ir.Model) -> LightModel:
    """The message of a model: tensors mapped from files stay there, large ones in memory are set apart."""
    folder = _folder(model)
    arrays: dict[str, NDArray[Any]] = {}
    stand_ins: dict[str, ir.TensorProtocol] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or _lies_in(tensor, folder):
            continue
        if isinstance(tensor, ir.ExternalTensor) or tensor.nbytes >= _HANDED_OVER:
            arrays[name] = tensor.numpy()
            stand_ins[name] = _stand_in(tensor, name)
    with _swapped(model.graph, stand_ins):
        return LightModel(ir.to_proto(model), arrays, folder)


def detach_weights(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Turn all initializers but the smallest into graph inputs, in place; their tensors by name."""
    tensors: dict[str, ir.TensorProtocol] = {}
    graph = model.graph
    for name, value in tuple(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or (tensor.nbytes <= _SMALL and not isinstance(tensor, ir.ExternalTensor)):
            continue
        tensors[name] = tensor
        del graph.initializers[name]
        value.const_value = None
        graph.inputs.append(value)
    return tensors


def attach_weights(model: ir.Model, tensors: dict[str, ir.TensorProtocol]) -> None:
    """Undo `detach_weights`, possibly on another model whose inputs bear the same names."""
    graph = model.graph
    inputs = list(graph.inputs)
    graph.inputs.clear()
    graph.inputs.extend(value for value in inputs if value.name not in tensors)
    for value in inputs:
        if value.name in tensors:
            tensor = tensors[value.name]
            value.const_value, value.dtype, value.shape = tensor, tensor.dtype, ir.Shape(tensor.shape.numpy())
            graph.register_initializer(value)


@contextmanager
def _swapped(graph: ir.Graph, stand_ins: dict[str, ir.TensorProtocol]) -> Iterator[None]:
    present = {name: graph.initializers[name].const_value for name in stand_ins}
    try:
        for name, tensor in stand_ins.items():
            graph.initializers[name].const_value = tensor
        yield
    finally:
        for name, tensor_or_none in present.items():
            graph.initializers[name].const_value = tensor_or_none


def _stand_in(tensor: ir.TensorProtocol, name: str) -> ir.ExternalTensor:
    return ir.ExternalTensor(_ELSEWHERE, 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name)


def _folder(model: ir.Model) -> Path | None:
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            return Path(value.const_value.base_dir).resolve()
    return None


def _lies_in(tensor: ir.TensorProtocol, folder: Path | None) -> bool:
    return isinstance(tensor, ir.ExternalTensor) and Path(tensor.base_dir).resolve() == folder


def _lengths(tensor: onnx.TensorProto) -> Iterator[onnx.StringStringEntryProto]:
    return (entry for entry in tensor.external_data if entry.key == "length")
