"""The op table: one row per float op that qconv can turn into integers.

A row says what each input is (its role), how the scale of the output follows from the inputs, what the op becomes, and
which forms of it are refused. Planning, calibration, lowering and the documentation read this table; adding an op is a
row here and a rule in `qconv/lower`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from qconv.model.graph import attr_float, const_array
from qconv.ops.forms import averages_whole_windows, scalar_factor
from qconv.ops.refusals import (
    needs_constant,
    needs_rank,
    refuse_average_pool,
    refuse_concat_of_constants,
    refuse_conv,
    refuse_conv_transpose,
    refuse_gemm,
    refuse_matmul,
    refuse_pad,
    refuse_pool,
    refuse_power,
    refuse_resize,
)
from qconv.quant.types import FloatArray, IntType, QuantParams


class Role(Enum):
    """What an input is to its op."""

    DATA = "data"  # quantized like any activation; may also be a constant
    WEIGHT = "weight"  # a constant, symmetric, per output channel
    BIAS = "bias"  # a constant, int32, scale S_x S_w
    STATIC = "host"  # shapes, indices, bounds: read as they are


class ScaleRule(Enum):
    """How the parameters of the output follow."""

    FREE = "free"  # from its own range
    SAME = "same as input"  # the op selects, moves or clamps values: saturating before it equals saturating after it
    AVERAGES = "same as input, values mix"  # the same parameters, but the op averages
    SHARED = "shared by all"  # inputs and output share parameters, or the inputs are rescaled
    FIXED = "fixed"  # from the mathematics of the op
    WITHIN = "own range within a fixed one"  # from its own range where that is much narrower than the mathematics allow
    SCALED = "input times a constant"  # the codes stay, the scale changes
    NONE = "no float output"


@dataclass(frozen=True)
class OpSpec:
    """A row of the op table. The last role holds for all further inputs."""

    op_type: str
    roles: tuple[Role, ...]
    rule: ScaleRule
    becomes: str
    refuse: Callable[[ir.Node], str | None] = lambda node: None
    fixed: Callable[[ir.Node, IntType], QuantParams | None] = lambda node, int_type: None
    condition: str = ""

    def role(self, index: int) -> Role:
        """The role of input `index`."""
        return self.roles[min(index, len(self.roles) - 1)]


def spec_of(node: ir.Node) -> OpSpec | None:
    """The row of a node's op, or None where the table has none."""
    return TABLE.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def role_of(node: ir.Node, index: int) -> Role:
    """The role of one input of a node; a constant second operand of MatMul is a weight, a dynamic one is data."""
    spec = TABLE[node.op_type]
    if node.op_type == "MatMul" and index == 1 and const_array(node.inputs[1]) is None:
        return Role.DATA
    return spec.role(index)


def rule_of(node: ir.Node) -> ScaleRule:
    """The scale rule of a node; two ops have one that depends on their form."""
    if node.op_type == "Mul" and scalar_factor(node) is not None:
        return ScaleRule.SCALED
    if node.op_type == "AveragePool" and not averages_whole_windows(node):
        return ScaleRule.AVERAGES
    return TABLE[node.op_type].rule


def _unit_interval(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1], where 1.0 is the highest code: a probability of one must not lose half a step.

    onnxruntime's QLinearSoftmax multiplies by floor(1 / S), so the inverse of S reaches the highest code.
    """
    return QuantParams(inverse_scale(int_type.qmax - int_type.qmin), np.asarray(int_type.qmin), int_type)


def inverse_scale(steps: int) -> FloatArray:
    """The largest float32 close to 1 / steps whose inverse does not round to less than `steps`."""
    scale = np.float32(1.0 / steps)
    while np.floor(np.float32(1.0) / scale) < steps:
        scale = np.nextafter(scale, np.float32(0.0))
    return np.asarray(scale)


def _hard_sigmoid(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1] with a step that divides beta, so that the op is one change of zero point."""
    return hard_sigmoid_params(attr_float(node, "beta", 0.5), int_type)


def hard_sigmoid_params(beta: float, int_type: IntType) -> QuantParams:
    """Scale beta / floor(beta (qmax - qmin)): beta and, for the usual 1/2, 1.0 are codes."""
    every = int_type.qmax - int_type.qmin
    steps = math.floor(beta * every) if 0 < beta <= 1 else 0
    return QuantParams(np.asarray(beta / steps if steps else 1.0 / every, np.float32), np.asarray(int_type.qmin), int_type)


def _plus_minus_one(node: ir.Node, int_type: IntType) -> QuantParams:
    """[-1, 1], where -1.0, 0.0 and 1.0 are codes."""
    half = 1 << (int_type.bits - 1)
    return QuantParams(np.asarray(1.0 / (half - 1), np.float32), np.asarray(int_type.qmin + half), int_type)


D, W, B, H = Role.DATA, Role.WEIGHT, Role.BIAS, Role.STATIC
FREE, SAME, FIXED, WITHIN = ScaleRule.FREE, ScaleRule.SAME, ScaleRule.FIXED, ScaleRule.WITHIN


def _moves(op_type: str, condition: str = "", refuse: Callable[[ir.Node], str | None] = lambda node: None) -> OpSpec:
    return OpSpec(op_type, (D, H), SAME, f"{op_type} on codes", refuse, condition=condition)


def _table(op_type: str) -> OpSpec:
    return OpSpec(op_type, (D, H), FREE, "a table of 256 codes (GatherElements)", needs_constant(1))


_ROWS = [
    OpSpec("Conv", (D, W, B), FREE, "QLinearConv", refuse_conv, condition="constant weight and bias; 1-D, 2-D, 3-D, grouped"),
    OpSpec(
        "ConvTranspose",
        (D, W, B),
        FREE,
        "QLinearConv of all phases, DepthToSpace and Slice",
        refuse_conv_transpose,
        condition="2-D, one stride for both axes, no dilation",
    ),
    OpSpec("Gemm", (D, W, B), FREE, "QGemm", refuse_gemm, condition="constant weight and bias"),
    OpSpec(
        "MatMul",
        (D, W),
        FREE,
        "QLinearMatMul; QGemm of its rows where a bias follows",
        refuse_matmul,
        condition="one or two dynamic operands; two of a known inner size, or probabilities of a Softmax",
    ),
    OpSpec("Add", (D, D), FREE, "QLinearAdd"),
    OpSpec("Sub", (D, D), FREE, "BitwiseXor, which negates the second operand, and QLinearAdd"),
    OpSpec("Mul", (D, D), FREE, "QLinearMul; by a positive constant scalar only the scale changes"),
    OpSpec(
        "Concat", (D,), ScaleRule.SHARED, "Concat on codes; QLinearConcat where parameters differ", refuse_concat_of_constants
    ),
    OpSpec(
        "AveragePool", (D,), FREE, "depthwise QLinearConv; QLinearAveragePool where padding is not counted", refuse_average_pool
    ),
    OpSpec("GlobalAveragePool", (D,), FREE, "QLinearGlobalAveragePool", needs_rank),
    OpSpec("MaxPool", (D,), SAME, "MaxPool on codes", refuse_pool),
    OpSpec("GlobalMaxPool", (D,), SAME, "ReduceMax on codes", needs_rank),
    OpSpec("Relu", (D,), SAME, "nothing where the range implies it, else Clip on codes"),
    OpSpec("Clip", (D, H), SAME, "nothing where the range implies it, else Clip on codes", needs_constant(1, 2)),
    OpSpec("LeakyRelu", (D,), FREE, "QLinearLeakyRelu; a table of 256 codes where the slope is not positive"),
    OpSpec("Sigmoid", (D,), WITHIN, "QLinearSigmoid", fixed=_unit_interval),
    OpSpec("HardSigmoid", (D,), FIXED, "QLinearConcat of one input (a change of parameters) and Clip", fixed=_hard_sigmoid),
    OpSpec("HardSwish", (D,), FREE, "HardSigmoid as above, and QLinearMul"),
    OpSpec("Softmax", (D,), WITHIN, "QLinearSoftmax", needs_rank, fixed=_unit_interval),
    OpSpec("Tanh", (D,), WITHIN, "a table of 256 codes (GatherElements)", fixed=_plus_minus_one),
    *map(_table, ("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp")),
    *map(_table, ("Floor", "Gelu", "Log", "Mish", "Neg", "Reciprocal")),
    OpSpec("Pow", (D, H), FREE, "a table of 256 codes (GatherElements)", refuse_power, condition="one constant exponent"),
    *map(_table, ("Round", "Selu", "Shrink", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "ThresholdedRelu")),
    *map(_moves, ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand", "Tile", "Identity")),
    *map(_moves, ("DepthToSpace", "SpaceToDepth", "Gather", "GatherElements", "ReduceMax", "ReduceMin")),
    _moves("Pad", "constant, reflect or edge; negative pads too", refuse_pad),
    _moves("Resize", "nearest", refuse_resize),
    OpSpec("ArgMax", (D,), ScaleRule.NONE, "ArgMax on codes"),
    OpSpec("ArgMin", (D,), ScaleRule.NONE, "ArgMin on codes"),
    OpSpec("Shape", (D,), ScaleRule.NONE, "Shape of the codes"),
    OpSpec("Size", (D,), ScaleRule.NONE, "Size of the codes"),
]

TABLE: dict[str, OpSpec] = {row.op_type: row for row in _ROWS}

# Ops with arithmetic of their own, for whose sake a graph is quantized; the others follow their neighbours.
COMPUTE = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
