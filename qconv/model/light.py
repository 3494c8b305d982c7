"""A model as protobuf without its large weights: nothing big is copied, and protobuf's limit of 2 GB is not met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """The message of a model: tensors mapped from files stay there, large ones in memory are set apart.

    Initializers that nothing reads are left out: onnxruntime forgets them, and then misses those that it is handed.
    """
    folder = _folder(model)
    tensors = {name: value.const_value for name, value in model.graph.initializers.items() if value.const_value is not None}
    away = {name: tensor for name, tensor in tensors.items() if _is_apart(tensor, folder)}
    with _swapped(model.graph, away):
        proto = ir.to_proto(model)
    dead = {name for name in away if _is_dead(model.graph.initializers[name])}
    for index in reversed(range(len(proto.graph.initializer))):
        if proto.graph.initializer[index].name in dead:
            del proto.graph.initializer[index]
    return LightModel(proto, {name: tensor.numpy() for name, tensor in away.items() if name not in dead}, folder)


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
def _swapped(graph: ir.Graph, tensors: Mapping[str, ir.TensorProtocol]) -> Iterator[None]:
    """Stand-ins without bytes in the place of the tensors."""
    try:
        for name, tensor in tensors.items():
            shape = ir.Shape(tensor.shape.numpy())
            stand_in = ir.ExternalTensor(_ELSEWHERE, 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)
            graph.initializers[name].const_value = stand_in
        yield
    finally:
        for name, tensor in tensors.items():
            graph.initializers[name].const_value = tensor


def _folder(model: ir.Model) -> Path | None:
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            return Path(value.const_value.base_dir).resolve()
    return None


def _is_apart(tensor: ir.TensorProtocol, folder: Path | None) -> bool:
    if isinstance(tensor, ir.ExternalTensor):
        return Path(tensor.base_dir).resolve() != folder
    return tensor.nbytes >= _HANDED_OVER


def _is_dead(value: ir.Value) -> bool:
    return not value.uses() and not value.is_graph_output()


def _lengths(tensor: onnx.TensorProto) -> Iterator[onnx.StringStringEntryProto]:
    return (entry for entry in tensor.external_data if entry.key == "length")
