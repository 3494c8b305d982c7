"""The op table: one row per float op that qconv can turn into integers.

A row says what each input is (its role), how the scale of the output follows from the inputs, what the op becomes, and
which forms of it are refused. Planning, calibration, lowering and the documentation read this table; adding an op is a
row here and a rule in `qconv/lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import onnx_ir as ir

from qconv.model.graph import const_array, is_float
from qconv.model.traits import key_of
from qconv.ops.forms import averages_whole_windows, scalar_factor
from qconv.ops.kernel_limits import limit_of_average, limit_of_hard_swish, limit_of_product, limit_of_softmax, limit_of_sum
from qconv.ops.refusals import (
    needs_constant,
    needs_rank,
    refuse_average_pool,
    refuse_cast,
    refuse_concat_of_constants,
    refuse_conv,
    refuse_conv_transpose,
    refuse_gemm,
    refuse_infinite_constant,
    refuse_large_window,
    refuse_matmul,
    refuse_norm,
    refuse_pad,
    refuse_power,
    refuse_recurrent,
    refuse_reduction,
    refuse_resize,
    refuse_scatter,
)
from qconv.ops.scale_rules import (
    Averages,
    Fixed,
    Free,
    NoFloat,
    Same,
    Scaled,
    ScaleRule,
    Shared,
    Within,
    hard_sigmoid_interval,
    plus_minus_one,
    unit_interval,
)
from qconv.quant.types import QuantParams


class Role(Enum):
    """What an input is to its op."""

    DATA = "data"  # quantized like any activation; may also be a constant
    WEIGHT = "weight"  # a constant, symmetric, per output channel
    BIAS = "bias"  # a constant, int32, scale S_x S_w
    OPERAND = "weight, or data where it is computed"
    ARGUMENT = "host where it is constant, else data"
    INTEGER = "integers, read as they are"
    STATIC = "host"  # shapes, indices, bounds: read as they are


RuleOf = ScaleRule | Callable[[ir.Node], ScaleRule]
Tensors = Mapping[str, QuantParams]


@dataclass(frozen=True)
class OpSpec:
    """A row of the op table. The last role holds for all further inputs; a rule may depend on the form of the node.

    `limit` says why a kernel does not bear the scales that a plan has for a node, or None. `slowdown` is what the integer form
    takes of the float op's time in onnxruntime, where that is much more than once.
    """

    op_type: str
    roles: tuple[Role, ...]
    rule: RuleOf
    becomes: str
    refuse: Callable[[ir.Node], str | None] = lambda node: None
    limit: Callable[[ir.Node, Tensors], str | None] = lambda node, tensors: None
    condition: str = ""
    domain: str = ""
    slowdown: str = ""

    def role(self, node: ir.Node, index: int) -> Role:
        """The role of input `index` of a node of this row."""
        role, value = self.roles[min(index, len(self.roles) - 1)], node.inputs[index]
        match role:
            case Role.OPERAND:
                return Role.DATA if const_array(value) is None else Role.WEIGHT
            case Role.ARGUMENT:
                return Role.DATA if const_array(value) is None else Role.STATIC
            case Role.INTEGER if value is not None and is_float(value) and _makes_integers(node):
                return Role.STATIC if value.is_graph_input() else Role.DATA
            case _:
                return role

    def rule_for(self, node: ir.Node) -> ScaleRule:
        """The scale rule of a node of this row."""
        return self.rule if isinstance(self.rule, ScaleRule) else self.rule(node)

    @property
    def usual_rule(self) -> ScaleRule:
        """The rule of the op where its form asks for no other."""
        return self.rule if isinstance(self.rule, ScaleRule) else Free()


def _makes_integers(node: ir.Node) -> bool:
    dtype = node.outputs[0].dtype
    return dtype is not None and not dtype.is_floating_point()


def spec_of(node: ir.Node) -> OpSpec | None:
    """The row of a node's op, or None where the table has none."""
    return TABLE.get(key_of(node))


def role_of(node: ir.Node, index: int) -> Role:
    """The role of one input of a node of the table."""
    return TABLE[key_of(node)].role(node, index)


def rule_of(node: ir.Node) -> ScaleRule:
    """The scale rule of a node of the table."""
    return TABLE[key_of(node)].rule_for(node)


def has_weight(node: ir.Node) -> bool:
    """Whether the second input of a node of the table is a weight."""
    return len(node.inputs) > 1 and role_of(node, 1) is Role.WEIGHT


def reads_integers(node: ir.Node) -> bool:
    """Whether a node of the table makes reals of integers."""
    value = node.inputs[0] if Role.INTEGER in TABLE[key_of(node)].roles else None
    return value is not None and value.dtype is not None and not value.dtype.is_floating_point()


def takes_bias(node: ir.Node) -> bool:
    """Whether a node of the table has an input for a bias."""
    return Role.BIAS in TABLE[key_of(node)].roles


def _product_rule(node: ir.Node) -> ScaleRule:
    factor = scalar_factor(node)
    return Free() if factor is None else Scaled(factor)


def _cast_rule(node: ir.Node) -> ScaleRule:
    return Free() if is_float(node.outputs[0]) else NoFloat()


def _average_rule(node: ir.Node) -> ScaleRule:
    return Free() if averages_whole_windows(node) else Averages()


D, W, B, H = Role.DATA, Role.WEIGHT, Role.BIAS, Role.STATIC
FREE, SAME, NO_FLOAT = Free(), Same(), NoFloat()


def _moves(op_type: str, condition: str = "", refuse: Callable[[ir.Node], str | None] = lambda node: None) -> OpSpec:
    return OpSpec(op_type, (D, H), SAME, f"{op_type} on codes", refuse, condition=condition)


def _table(op_type: str) -> OpSpec:
    return OpSpec(op_type, (D, H), FREE, "a table of 256 codes (GatherElements)", needs_constant(1))


_ROWS = [
    OpSpec("Conv", (D, Role.OPERAND, B), FREE, "QLinearConv", refuse_conv, condition="1-D, 2-D, 3-D, grouped"),
    OpSpec(
        "ConvTranspose",
        (D, W, B),
        FREE,
        "QLinearConv of all phases, DepthToSpace or Transpose, and Slice",
        refuse_conv_transpose,
        condition="one, two or three axes",
    ),
    OpSpec("Gemm", (D, W, B), FREE, "QGemm", refuse_gemm, condition="constant weight and bias"),
    OpSpec(
        "MatMul",
        (D, Role.OPERAND),
        FREE,
        "QLinearMatMul; QGemm of its rows where a bias follows",
        refuse_matmul,
        condition="one or two dynamic operands; two of a known inner size, or probabilities of a Softmax",
    ),
    OpSpec("Add", (D, D), FREE, "QLinearAdd", limit=limit_of_sum),
    OpSpec("Sub", (D, D), FREE, "BitwiseXor, which negates the second operand, and QLinearAdd", limit=limit_of_sum),
    OpSpec(
        "Mul", (D, D), _product_rule, "QLinearMul; by a positive constant scalar only the scale changes", limit=limit_of_product
    ),
    OpSpec("Concat", (D,), Shared(), "Concat on codes; QLinearConcat where parameters differ", refuse_concat_of_constants),
    OpSpec(
        "AveragePool",
        (D,),
        _average_rule,
        "depthwise QLinearConv; QLinearAveragePool where padding is not counted",
        refuse_average_pool,
    ),
    OpSpec("GlobalAveragePool", (D,), FREE, "QLinearGlobalAveragePool", needs_rank, limit=limit_of_average),
    OpSpec("MaxPool", (D,), SAME, "MaxPool on codes", refuse_large_window),
    OpSpec("TopK", (D, H), SAME, "TopK in int32"),
    OpSpec("GlobalMaxPool", (D,), SAME, "ReduceMax on codes", needs_rank),
    OpSpec("Relu", (D,), SAME, "nothing where the range implies it, else Clip on codes"),
    OpSpec("Clip", (D, H), SAME, "nothing where the range implies it, else Clip on codes", needs_constant(1, 2)),
    OpSpec("LeakyRelu", (D,), FREE, "QLinearLeakyRelu; a table of 256 codes where the slope is not positive"),
    OpSpec("Sigmoid", (D,), Within(unit_interval), "QLinearSigmoid"),
    OpSpec("HardSigmoid", (D,), Fixed(hard_sigmoid_interval), "QLinearConcat of one input (a change of parameters) and Clip"),
    OpSpec("HardSwish", (D,), FREE, "the codes cut off, or HardSigmoid as above, and QLinearMul", limit=limit_of_hard_swish),
    OpSpec("Softmax", (D,), Within(unit_interval), "QLinearSoftmax", needs_rank, limit=limit_of_softmax),
    OpSpec(
        "LayerNormalization",
        (D, H),
        FREE,
        "sums, squares and a reciprocal root in int32",
        refuse_norm,
        condition="over the last axis, of a known size",
    ),
    OpSpec("SimplifiedLayerNormalization", (D, H), FREE, "squares and a reciprocal root in int32", refuse_norm),
    OpSpec("Tanh", (D,), Within(plus_minus_one), "QLinearSigmoid of twice the scale, or a table of 256 codes"),
    *map(_table, ("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp")),
    *map(_table, ("Floor", "Gelu", "Log", "Mish", "Neg", "Reciprocal")),
    OpSpec("Pow", (D, Role.ARGUMENT), FREE, "a table of 256 codes for each exponent, or of all pairs of codes", refuse_power),
    *map(_table, ("Round", "Selu", "Shrink", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "ThresholdedRelu")),
    *map(_moves, ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand", "Tile", "Identity")),
    *map(_moves, ("DepthToSpace", "SpaceToDepth", "Gather", "GatherElements", "ReduceMax", "ReduceMin")),
    _moves("Pad", "constant, reflect or edge; negative pads too", refuse_pad),
    _moves("Resize", "nearest; linear and cubic of known sizes as products with constant matrices", refuse_resize),
    OpSpec("Max", (D,), Shared(), "Max on codes", refuse_concat_of_constants),
    OpSpec("Min", (D,), Shared(), "Min on codes", refuse_concat_of_constants),
    OpSpec("Where", (H, D, D), Shared(), "Where on codes"),
    *(
        OpSpec(op, (D, D), NO_FLOAT, f"{op} of a difference in int32", refuse_infinite_constant)
        for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    *(OpSpec(op, (D, H, D), Shared(), f"{op} on codes", refuse_scatter) for op in ("ScatterElements", "ScatterND")),
    *map(_moves, ("Compress", "GatherND", "ReverseSequence")),
    OpSpec("Mod", (D, Role.ARGUMENT), FREE, "a table of 256 codes for each divisor, or of all pairs of codes", refuse_power),
    OpSpec("Div", (D, D), FREE, "a product with a table of reciprocals in int32"),
    OpSpec("ReduceSum", (D, H), FREE, "ReduceSum in int32", refuse_reduction, condition="constant axes"),
    OpSpec("ReduceMean", (D, H), FREE, "ReduceSum in int32", refuse_reduction, condition="constant axes"),
    OpSpec(
        "Cast",
        (Role.INTEGER,),
        _cast_rule,
        "a change of scale in int32; to integers a table of them",
        refuse_cast,
        condition="from integers to float32, and back",
    ),
    *(OpSpec(op, (D,), NO_FLOAT, "a table of 256 truth values (GatherElements)") for op in ("IsInf", "IsNaN")),
    OpSpec(
        "DequantizeLinear",
        (Role.INTEGER, H),
        FREE,
        "the codes themselves",
        needs_constant(1, 2),
        condition="at an input of a quantized model",
    ),
    OpSpec(
        "QuantizeLinear",
        (D, H),
        NO_FLOAT,
        "the codes themselves",
        needs_constant(1, 2),
        condition="at an output of a quantized model",
    ),
    *(
        OpSpec(
            op,
            (D, H, H, H, H, D, D, H),
            FREE,
            "int32 steps, written out up to 32, else a Scan: 7 to 16 times as slow as float for 64 hidden units, twice for 256",
            refuse_recurrent,
            condition="constant weights, the usual functions",
            slowdown="2 to 16 times",
        )
        for op in ("GRU", "LSTM", "RNN")
    ),
    OpSpec("ArgMax", (D,), NO_FLOAT, "ArgMax on codes"),
    OpSpec("ArgMin", (D,), NO_FLOAT, "ArgMin on codes"),
    OpSpec("Shape", (D,), NO_FLOAT, "Shape of the codes"),
    OpSpec("Size", (D,), NO_FLOAT, "Size of the codes"),
]

TABLE: dict[tuple[str, str], OpSpec] = {(row.domain, row.op_type): row for row in _ROWS}
