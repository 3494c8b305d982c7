"""The quantizers of QONNX, which Brevitas writes, as the standard operators that compute the same.

Quant(x, s, z, bits)        = QuantizeLinear, a Clip of fewer codes than the type has, and DequantizeLinear
BipolarQuant(x, s)          = s where x >= 0, else -s
Trunc(x, s, 0, b, u, c)     = a pair of (x - d) u / (s 2^t) with the scale u of the output, where t bits go

x is a whole number of steps s. Rounding (x / s - (2^t - 1) / 2) / 2^t to the nearest never meets a half, and is the same as
rounding x / s / 2^t down; with the other sign, up.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qconv.errors import ModelError

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_ROUNDINGS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}
_DOWN = {"FLOOR": 0.5, "CEIL": -0.5, "ROUND": 0.0, "HALF_EVEN": 0.0}  # of 2^t - 1 steps, for d
_NEAREST = ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN")  # they differ at halves alone


def holds_qonnx(path: Path) -> bool:
    """Whether a file names a domain of QONNX; nothing is parsed. False where it cannot be read, which others tell."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(data.find(domain.encode()) >= 0 for domain in DOMAINS)
    except (OSError, ValueError):
        return False


def has_qonnx(proto: onnx.ModelProto) -> bool:
    """Whether a model has a quantizer of QONNX in its graph."""
    return any(node.domain in DOMAINS for node in proto.graph.node)


def write_standard(proto: onnx.ModelProto) -> None:
    """Replaces the quantizers in place. Raises ModelError for one that has no counterpart."""
    graph = proto.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value"
    }
    nodes = [written for node in graph.node for written in _written(graph, node, constants)]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [entry for entry in proto.opset_import if entry.domain not in DOMAINS]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _written(graph: onnx.GraphProto, node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> Iterator[onnx.NodeProto]:
    if node.domain not in DOMAINS:
        yield node
        return
    writers = {"Quant": _Writer.quant, "IntQuant": _Writer.quant, "BipolarQuant": _Writer.bipolar, "Trunc": _Writer.trunc}
    if node.op_type not in writers:
        raise ModelError(f"node '{node.name}' is {node.op_type} of {node.domain}, which has no counterpart here; export as QCDQ")
    operands = [constants.get(name) for name in node.input[1:]]
    if any(operand is None for operand in operands):
        raise ModelError(f"node '{node.name}' ({node.op_type}) computes its parameters at run time; make them constants")
    writer = _Writer(graph, node, [np.asarray(operand) for operand in operands], constants.get(node.input[0]))
    yield from writers[node.op_type](writer)


class _Writer:
    """One quantizer; new tensors have names that begin with that of its output."""

    def __init__(
        self, graph: onnx.GraphProto, node: onnx.NodeProto, operands: list[NDArray[Any]], array: NDArray[Any] | None
    ) -> None:
        self._graph, self._node, self._operands, self._array = graph, node, operands, array
        self._scale = operands[0].astype(np.float32)

    def quant(self) -> Iterator[onnx.NodeProto]:
        """A Quant of an activation or of a constant."""
        attributes = {a.name: helper.get_attribute_value(a) for a in self._node.attribute}
        signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
        mode = attributes.get("rounding_mode", b"ROUND").decode().upper()
        zero, bits = np.unique(self._operands[1]), int(self._operands[2].reshape(-1)[0])
        if bits == 1 and signed:
            yield from self.bipolar()
            return
        if mode not in _ROUNDINGS or (self._array is None and mode not in _NEAREST):
            raise ModelError(
                f"node '{self._node.name}' rounds by {mode}, and the integer kernels round to the nearest; train with ROUND"
            )
        if zero.size != 1 or zero[0] != np.rint(zero[0]):
            raise ModelError(f"node '{self._node.name}' has zero points {zero}; one whole zero point is needed")
        low = (-(1 << (bits - 1)) if signed else 0) + int(narrow and signed)
        high = (1 << (bits - int(signed))) - 1 - int(narrow and not signed)
        if self._array is not None:
            codes = _ROUNDINGS[mode](np.clip(self._array / self._scale + zero[0], low, high))
            yield from self._constant(codes, int(zero[0]), signed=signed, bits=bits)
            return
        if bits > 8:
            raise ModelError(
                f"node '{self._node.name}' gives an activation {bits} bits, and integer kernels take 8; train with fewer"
            )
        yield from self._pair(int(zero[0]), low, high, np.dtype(np.int8 if signed else np.uint8))

    def bipolar(self) -> Iterator[onnx.NodeProto]:
        """A sign times the scale."""
        if self._array is not None:
            yield from self._constant(np.where(self._array >= 0, 1, -1), 0, signed=True, bits=2)
            return
        zero, up, down = (self._add(name, array) for name, array in
                          (("zero", np.float32(0)), ("up", self._scale), ("down", -self._scale)))  # fmt: skip
        at_least = self._name("at_least")
        yield helper.make_node("GreaterOrEqual", [self._node.input[0], zero], [at_least], name=at_least)
        yield helper.make_node("Where", [at_least, up, down], list(self._node.output), name=self._node.name)

    def trunc(self) -> Iterator[onnx.NodeProto]:
        """A Trunc of sums of codes: that of QONNX 2, with a scale of the output, or the one before it."""
        attributes = {a.name: helper.get_attribute_value(a) for a in self._node.attribute}
        mode = attributes.get("rounding_mode", b"FLOOR").decode().upper()
        zero, before, *given, bits = (operand.reshape(-1) for operand in self._operands[1:])
        if mode not in _DOWN or zero.any() or bits[0] > 8 or self._scale.size != 1:
            raise ModelError(
                f"node '{self._node.name}' (Trunc) rounds by {mode} to {bits[0]:.0f} bits, with zero points {zero}; "
                "integer kernels truncate down or to the nearest, to 8 bits, with one scale and zero points of 0"
            )
        step = float(self._scale.item())
        kept = float(given[0][0]) if given else step
        dropped = round(np.log2(kept / step)) if given else int(before[0] - bits[0])
        signed = bool(attributes.get("signed", 1)) if given else self._reads_signed(self._node.input[0])
        low = (-(1 << (int(bits[0]) - 1)) + attributes.get("narrow", 0)) if signed else 0
        high = (1 << (int(bits[0]) - int(signed))) - 1
        factor, offset = np.float32(kept / (step * 2**dropped)), np.float32(step * _DOWN[mode] * (2**dropped - 1))
        x = self._name("moved")
        yield helper.make_node("Sub", [self._node.input[0], self._add("offset", offset)], [x], name=x)
        if factor != 1:
            moved, x = x, self._name("rescaled")
            yield helper.make_node("Mul", [moved, self._add("factor", factor)], [x], name=x)
        self._scale = np.asarray(kept, np.float32)
        yield from self._pair(0, low, high, np.dtype(np.int8 if signed else np.uint8), x)

    def _reads_signed(self, name: str) -> bool:
        """Whether the quantizer in front of a tensor, with whatever sums lie between, has signed codes."""
        makers = {output: node for node in self._graph.node for output in node.output}
        while name in makers:
            attributes = {a.name: helper.get_attribute_value(a) for a in makers[name].attribute}
            if "signed" in attributes:
                return bool(attributes["signed"])
            name = makers[name].input[0]
        return True

    def _constant(self, codes: NDArray[Any], zero: int, *, signed: bool, bits: int) -> Iterator[onnx.NodeProto]:
        """A weight as codes; a bias, of more bits, as the reals that its codes are."""
        if bits > 8:
            reals = self._add("reals", ((codes - zero) * self._scale).astype(np.float32))
            yield helper.make_node("Identity", [reals], list(self._node.output), name=self._node.name)
            return
        dtype = np.dtype(np.int8 if signed else np.uint8)
        yield self._dequantize(self._add("codes", codes.astype(dtype)), self._parameters(zero, dtype))

    def _pair(self, zero: int, low: int, high: int, dtype: np.dtype[Any], x: str | None = None) -> Iterator[onnx.NodeProto]:
        parameters, codes = self._parameters(zero, dtype), self._name("codes")
        inputs = [self._node.input[0] if x is None else x, *parameters]
        yield helper.make_node("QuantizeLinear", inputs, [codes], name=codes, axis=self._axis())
        limits = np.iinfo(dtype)
        if (low, high) != (limits.min, limits.max):
            ends, clipped = (
                [self._add(name, dtype.type(end)) for name, end in (("low", low), ("high", high))],
                self._name("clipped"),
            )
            yield helper.make_node("Clip", [codes, *ends], [clipped], name=clipped)
            codes = clipped
        yield self._dequantize(codes, parameters)

    def _dequantize(self, codes: str, parameters: list[str]) -> onnx.NodeProto:
        inputs = [codes, *parameters]
        return helper.make_node("DequantizeLinear", inputs, list(self._node.output), name=self._node.name, axis=self._axis())

    def _parameters(self, zero: int, dtype: np.dtype[Any]) -> list[str]:
        scale = self._scale.reshape(() if self._scale.size == 1 else -1)
        return [self._add("scale", scale), self._add("zero_point", np.full(scale.shape, zero, dtype))]

    def _axis(self) -> int:
        """The axis along which scales lie, as in [C, 1, 1, 1]."""
        return next((axis for axis, size in enumerate(self._scale.shape) if size > 1), 0)

    def _name(self, part: str) -> str:
        return f"{self._node.output[0]}/{part}"

    def _add(self, part: str, array: Any) -> str:
        name = self._name(part)
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name
