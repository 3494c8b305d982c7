"""Where the quantized operators keep their scales and zero points.

Every quantized operator reads tensors as triples (tensor, scale, zero point) and writes one with its own pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import attr_int


@dataclass(frozen=True)
class Triple:
    """Input indices of one quantized operand; the output's triple has no tensor among the inputs."""

    tensor: int | None
    scale: int
    zero_point: int


@dataclass(frozen=True)
class Layout:
    """The operands of a quantized operator: what it reads, what it writes, and the index of an int32 bias."""

    reads: tuple[Triple, ...]
    writes: Triple
    bias: int | None = None

    @property
    def scales(self) -> frozenset[int]:
        """Indices of the inputs that hold scales: float32, but parameters and not data."""
        return frozenset(triple.scale for triple in (*self.reads, self.writes))


def _unary() -> Layout:
    return Layout((Triple(0, 1, 2),), Triple(None, 3, 4))


def _binary(output: int, bias: int | None = None) -> Layout:
    return Layout((Triple(0, 1, 2), Triple(3, 4, 5)), Triple(None, output, output + 1), bias)


_LAYOUTS = {
    "QLinearConv": _binary(6, bias=8),
    "QLinearMatMul": _binary(6),
    "QGemm": _binary(7, bias=6),
    "QLinearAdd": _binary(6),
    "QLinearMul": _binary(6),
    "QLinearGlobalAveragePool": _unary(),
    "QLinearAveragePool": _unary(),
    "QLinearLeakyRelu": _unary(),
    "QLinearSigmoid": _unary(),
    "QLinearSoftmax": _unary(),
    "QLinearWhere": Layout((Triple(1, 2, 3), Triple(4, 5, 6)), Triple(None, 7, 8)),
}

# What sums products of codes: its data and its weight are the first two operands.
CONVOLUTIONS = frozenset({"QLinearConv", "ConvInteger"})
MATRIX_PRODUCTS = frozenset({"QLinearMatMul", "QGemm", "MatMulInteger", "MatMulInteger16"})

WEIGHT_AXES = {"QLinearConv": 0, "QLinearMatMul": -1, "QGemm": -1}

_DOMAINS = frozenset({"", "com.microsoft", "com.ms.internal.nhwc"})  # the last two: what onnxruntime's optimizer writes


def layout_of(node: ir.Node) -> Layout | None:
    """The layout of a quantized operator; None for every other node, and for a QGemm that writes float."""
    if node.domain not in _DOMAINS:
        return None
    if node.op_type == "QLinearConcat":
        return Layout(tuple(Triple(i, i + 1, i + 2) for i in range(2, len(node.inputs), 3)), Triple(None, 0, 1))
    layout = _LAYOUTS.get(node.op_type)
    if layout is not None and (len(node.inputs) <= layout.writes.scale or node.inputs[layout.writes.scale] is None):
        return None
    return layout


def weight_axis(node: ir.Node) -> int | None:
    """The axis of a weight, the second operand, along which it may have a scale for each output channel; None without one."""
    if node.op_type == "QGemm" and attr_int(node, "transB", 0):
        return 0
    return WEIGHT_AXES.get(node.op_type)


def parameter_inputs(node: ir.Node) -> frozenset[int]:
    """Indices of inputs that are float by type but parameters by role: scales, and the factors of a Resize."""
    layout = layout_of(node)
    if layout is not None:
        return layout.scales
    if node.domain == "" and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return frozenset({1})
    if node.op_type == "Resize":
        return frozenset({1, 2})
    return frozenset()
