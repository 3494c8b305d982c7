"""A TFLite file while it grows: tensors, operators and constants, packed as a flatbuffer at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from qconv.quant.types import QuantParams

Array = NDArray[Any]
Options = tuple[int, Callable[[Any], int]]  # the kind of options, and what writes them

TYPES = {name: getattr(tflite.TensorType, name.upper()) for name in ("int8", "int16", "int32", "int64", "bool")}
_ALIGNMENT = 16
_SCHEMA = 3


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    buffer: int
    scale: Array | None
    zero_point: Array | None
    axis: int


@dataclass(frozen=True)
class _Operator:
    code: tuple[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options | None


@dataclass
class Writer:
    """Tensors are known by their numbers."""

    _tensors: list[_Tensor] = field(default_factory=list)
    _operators: list[_Operator] = field(default_factory=list)
    _buffers: list[bytes] = field(default_factory=lambda: [b""])

    def tensor(self, name: str, shape: Sequence[int], params: QuantParams | None, dtype: str = "int8") -> int:
        """A tensor of codes, or of numbers where it has no parameters."""
        return self._add(name, tuple(shape), dtype, 0, params)

    def alike(self, number: int, name: str, shape: Sequence[int]) -> int:
        """A tensor of the type and the parameters of another one."""
        self._tensors.append(replace(self._tensors[number], name=name, shape=tuple(shape), buffer=0))
        return len(self._tensors) - 1

    def constant(self, name: str, array: Array, params: QuantParams | None = None) -> int:
        """A constant of codes, or of numbers where it has no parameters."""
        self._buffers.append(np.ascontiguousarray(array).tobytes())
        return self._add(name, array.shape, str(array.dtype), len(self._buffers) - 1, params)

    def shape(self, number: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self._tensors[number].shape

    def kind(self, number: int) -> str:
        """The type of a tensor, as numpy calls it."""
        return self._tensors[number].kind

    def name(self, number: int) -> str:
        """The name of a tensor."""
        return self._tensors[number].name

    def operator(self, code: int, version: int, inputs: Sequence[int], output: int, options: Options | None = None) -> int:
        """Adds an operator; returns its output."""
        self._operators.append(_Operator((code, version), tuple(inputs), (output,), options))
        return output

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], description: str) -> bytes:
        """The bytes of the finished file."""
        b = flatbuffers.Builder(1 << 20)
        buffers = [self._buffer(b, data) for data in self._buffers]
        tensors = [self._packed(b, tensor) for tensor in self._tensors]
        codes = list(dict.fromkeys(operator.code for operator in self._operators))
        operators = [self._operator(b, operator, codes.index(operator.code)) for operator in self._operators]
        graph = self._graph(b, tensors, operators, inputs, outputs)
        kinds = [self._code(b, *code) for code in codes]
        text = b.CreateString(description)
        parts = [
            _offsets(b, tflite.ModelStartOperatorCodesVector, kinds),
            _offsets(b, tflite.ModelStartSubgraphsVector, [graph]),
            _offsets(b, tflite.ModelStartBuffersVector, buffers),
        ]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, _SCHEMA)
        tflite.ModelAddOperatorCodes(b, parts[0])
        tflite.ModelAddSubgraphs(b, parts[1])
        tflite.ModelAddBuffers(b, parts[2])
        tflite.ModelAddDescription(b, text)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _add(self, name: str, shape: tuple[int, ...], dtype: str, buffer: int, params: QuantParams | None) -> int:
        scale = None if params is None else np.atleast_1d(params.scale)
        zero = None if params is None else np.atleast_1d(params.zero_point).astype(np.int64)
        axis = 0 if params is None or params.axis is None else params.axis
        self._tensors.append(_Tensor(name, shape, dtype, buffer, scale, zero, axis))
        return len(self._tensors) - 1

    def _buffer(self, b: Any, data: bytes) -> int:
        if not data:
            tflite.BufferStart(b)
            return int(tflite.BufferEnd(b))
        b.StartVector(1, len(data), _ALIGNMENT)
        b.head -= len(data)
        b.Bytes[b.head : b.head + len(data)] = data
        vector = b.EndVector()
        tflite.BufferStart(b)
        tflite.BufferAddData(b, vector)
        return int(tflite.BufferEnd(b))

    def _packed(self, b: Any, tensor: _Tensor) -> int:
        name, shape, quantization = b.CreateString(tensor.name), b.CreateNumpyVector(np.asarray(tensor.shape, np.int32)), None
        if tensor.scale is not None:
            assert tensor.zero_point is not None
            scale, zero = b.CreateNumpyVector(tensor.scale.astype(np.float32)), b.CreateNumpyVector(tensor.zero_point)
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero)
            tflite.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
            quantization = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, TYPES[tensor.kind])
        tflite.TensorAddBuffer(b, tensor.buffer)
        tflite.TensorAddName(b, name)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        return int(tflite.TensorEnd(b))

    def _operator(self, b: Any, operator: _Operator, code: int) -> int:
        inputs = b.CreateNumpyVector(np.asarray(operator.inputs, np.int32))
        outputs = b.CreateNumpyVector(np.asarray(operator.outputs, np.int32))
        options = None if operator.options is None else operator.options[1](b)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, code)
        tflite.OperatorAddInputs(b, inputs)
        tflite.OperatorAddOutputs(b, outputs)
        if options is not None and operator.options is not None:
            tflite.OperatorAddBuiltinOptionsType(b, operator.options[0])
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))

    def _code(self, b: Any, code: int, version: int) -> int:
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, version)
        return int(tflite.OperatorCodeEnd(b))

    def _graph(self, b: Any, tensors: list[int], operators: list[int], inputs: Sequence[int], outputs: Sequence[int]) -> int:
        name = b.CreateString("main")
        parts = [
            _offsets(b, tflite.SubGraphStartTensorsVector, tensors),
            b.CreateNumpyVector(np.asarray(inputs, np.int32)),
            b.CreateNumpyVector(np.asarray(outputs, np.int32)),
            _offsets(b, tflite.SubGraphStartOperatorsVector, operators),
        ]
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, parts[0])
        tflite.SubGraphAddInputs(b, parts[1])
        tflite.SubGraphAddOutputs(b, parts[2])
        tflite.SubGraphAddOperators(b, parts[3])
        tflite.SubGraphAddName(b, name)
        return int(tflite.SubGraphEnd(b))


def _offsets(b: Any, start: Callable[[Any, int], Any], offsets: Sequence[int]) -> int:
    start(b, len(offsets))
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def options(kind: str, **fields: Any) -> Options:
    """Options by the name of their table, such as "Conv2DOptions", with fields by the schema's names."""

    def write(b: Any) -> int:
        vectors = {
            name: b.CreateNumpyVector(np.asarray(value, np.int32)) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        getattr(tflite, f"{kind}Start")(b)
        for name, value in vectors.items():
            getattr(tflite, f"{kind}Add{name}")(b, value)
        return int(getattr(tflite, f"{kind}End")(b))

    return getattr(tflite.BuiltinOptions, kind), write
