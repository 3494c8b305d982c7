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
from numpy.typing import NDArray

from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array, sole_consumer
from qconv.quant.types import IntType, QuantParams


class Role(Enum):
    """What an input is to its op."""

    DATA = "data"  # quantized like any activation; may also be a constant
    WEIGHT = "weight"  # a constant, symmetric, per output channel
    BIAS = "bias"  # a constant, int32, scale S_x S_w
    HOST = "host"  # shapes, indices, bounds: read as they are


class ScaleRule(Enum):
    """How the parameters of the output follow."""

    FREE = "free"  # from its own range
    SAME = "same as input"  # the op selects, moves or clamps values: saturating before it equals saturating after it
    BLEND = "same as input, values mix"  # the same parameters, but the op averages
    SHARED = "shared by all"  # inputs and output share parameters, or the inputs are rescaled
    FIXED = "fixed"  # from the mathematics of the op
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
    """The scale rule of a node; three ops have one that depends on their form."""
    if node.op_type == "Mul" and scalar_factor(node) is not None:
        return ScaleRule.SCALED
    if is_bias_add(node):
        return ScaleRule.SAME
    if node.op_type == "AveragePool" and not averages_whole_windows(node):
        return ScaleRule.BLEND
    return TABLE[node.op_type].rule


def scalar_factor(node: ir.Node) -> float | None:
    """c of Mul(x, c) where c is a positive constant scalar: then the codes stay and S_y = c S_x."""
    for index in (0, 1):
        array = const_array(node.inputs[index])
        if array is not None and array.size == 1 and const_array(node.inputs[1 - index]) is None:
            factor = float(array.reshape(()))
            other = node.inputs[1 - index]
            widens = other is None or other.shape is None or array.ndim > len(other.shape)
            return factor if math.isfinite(factor) and factor > 0 and not widens else None
    return None


def bias_add(node: ir.Node) -> ir.Node | None:
    """The Add of a constant vector that a MatMul with a 2-D weight absorbs as its bias, or None."""
    if node.op_type != "MatMul" or channel_axis(node) is None or const_array(node.inputs[1]) is None:
        return None
    user = sole_consumer(node.outputs[0])
    if user is None or user.op_type != "Add" or user.graph is not node.graph:
        return None
    bias = _constant_operand(user)
    columns = const_array(node.inputs[1]).shape[1]  # type: ignore[union-attr]
    fits = bias is not None and bias.size == columns == bias.shape[-1] and bias.ndim <= len(node.outputs[0].shape or ())
    return user if fits else None


def is_bias_add(node: ir.Node) -> bool:
    """Whether a node is the Add that the MatMul before it absorbs."""
    if node.op_type != "Add":
        return False
    makers = (value.producer() for value in node.inputs if value is not None)
    return any(maker is not None and bias_add(maker) is node for maker in makers)


def bias_of(node: ir.Node) -> NDArray[np.floating] | None:
    """The constant bias of a weighted node, flat, or None."""
    follower = bias_add(node)
    if follower is not None:
        found = _constant_operand(follower)
    else:
        found = const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    return None if found is None else found.reshape(-1)


def _constant_operand(node: ir.Node) -> NDArray[np.floating] | None:
    return next((array for v in node.inputs if (array := const_array(v)) is not None), None)


def averages_whole_windows(node: ir.Node) -> bool:
    """Whether an AveragePool always divides by the full kernel size: it then is a depthwise convolution."""
    padded = any(attr_ints(node, "pads", [])) or attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    includes = attr_int(node, "count_include_pad", 0) == 1
    return attr_int(node, "ceil_mode", 0) == 0 and (includes or not padded) and _channels(node.inputs[0]) is not None


def channel_axis(node: ir.Node) -> int | None:
    """The axis of the weight that counts output channels; None where one scale must serve (batched constants)."""
    weight = node.inputs[1]
    rank = len(weight.shape) if weight is not None and weight.shape is not None else 0
    match node.op_type:
        case "Conv":
            return 0
        case "Gemm":
            return 0 if attr_int(node, "transB", 0) else 1
        case "MatMul":
            return 1 if rank == 2 else None
        case _:
            return None


def summed_axes(node: ir.Node) -> tuple[int, ...]:
    """The axes of the weight that one accumulator sums over."""
    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None
    rank = len(weight.shape)
    match node.op_type:
        case "Conv":
            return tuple(range(1, rank))
        case "Gemm":
            return (1,) if attr_int(node, "transB", 0) else (0,)
        case _:
            return (max(rank - 2, 0),)


def _channels(value: ir.Value | None) -> int | None:
    """The static size of axis 1, or None."""
    if value is None or value.shape is None or len(value.shape) < 2:
        return None
    size = value.shape[1]
    return size if isinstance(size, int) else None


# --- refusals: a sentence says what is in the way and what to try ---------------------------------------------------------


def _needs_constant(*indices: int) -> Callable[[ir.Node], str | None]:
    def refuse(node: ir.Node) -> str | None:
        for index in indices:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and const_array(value) is None:
                return f"its input {index} ({value.name}) is computed at run time; make it a constant"
        return None

    return refuse


def _refuse_conv(node: ir.Node) -> str | None:
    if attr_str(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return "its auto_pad depends on a size that is not known; export it with explicit pads or fixed sizes"
    return _needs_constant(1, 2)(node)


def _refuse_gemm(node: ir.Node) -> str | None:
    if attr_int(node, "transA", 0) or attr_float(node, "alpha", 1.0) != 1.0 or attr_float(node, "beta", 1.0) != 1.0:
        return "its alpha, beta or transA could not be folded; write it as MatMul and Add"
    return _needs_constant(1, 2)(node)


def _refuse_resize(node: ir.Node) -> str | None:
    if attr_str(node, "mode", "nearest") != "nearest":
        return "onnxruntime's integer Resize truncates when it interpolates; use mode nearest, or a transposed convolution"
    return None


def _refuse_pad(node: ir.Node) -> str | None:
    if attr_str(node, "mode", "constant") not in ("constant", "reflect", "edge"):
        return "only the modes constant, reflect and edge have an integer kernel"
    return _needs_constant(2)(node)


def _refuse_concat_of_constants(node: ir.Node) -> str | None:
    return "it joins constants only" if all(const_array(v) is not None for v in node.inputs) else None


def _refuse_softmax(node: ir.Node) -> str | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return "the rank of its input is not known; give the model's inputs a shape"
    return None


def _refuse_split_pool(node: ir.Node) -> str | None:
    if len(node.outputs) > 1 and node.outputs[1] is not None and node.outputs[1].uses():
        return "its second output (indices) is used, which has no integer form"
    if attr_str(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return "its auto_pad depends on a size that is not known; export it with explicit pads or fixed sizes"
    return None


def _refuse_global_pool(node: ir.Node) -> str | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return "the rank of its input is not known; give the model's inputs a shape"
    return None


def _refuse_leaky_relu(node: ir.Node) -> str | None:
    alpha = attr_float(node, "alpha", 0.01)
    return None if 0 < alpha < 256 else f"its slope {alpha:g} is not positive"


# --- fixed parameters -----------------------------------------------------------------------------------------------------


def _unit_interval(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1) in steps of 2^-bits, as onnxruntime's QLinearSoftmax needs it."""
    return QuantParams(np.asarray(2.0**-int_type.bits, np.float32), np.asarray(0), int_type)


def _hard_sigmoid(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1] with a step that divides beta, so that the op is one change of zero point."""
    return hard_sigmoid_params(attr_float(node, "beta", 0.5), int_type)


def hard_sigmoid_params(beta: float, int_type: IntType) -> QuantParams:
    """Scale beta / floor(beta qmax): beta and, for the usual 1/2, 1.0 are codes."""
    steps = math.floor(beta * int_type.qmax) if 0 < beta <= 1 else 0
    return QuantParams(np.asarray(beta / steps if steps else 1.0 / int_type.qmax, np.float32), np.asarray(0), int_type)


def _plus_minus_one(node: ir.Node, int_type: IntType) -> QuantParams:
    """[-1, 1) in steps of 2^(1 - bits)."""
    return QuantParams(np.asarray(2.0 ** (1 - int_type.bits), np.float32), np.asarray(1 << (int_type.bits - 1)), int_type)


D, W, B, H = Role.DATA, Role.WEIGHT, Role.BIAS, Role.HOST
FREE, SAME, FIXED = ScaleRule.FREE, ScaleRule.SAME, ScaleRule.FIXED


def _moves(op_type: str, condition: str = "", refuse: Callable[[ir.Node], str | None] = lambda node: None) -> OpSpec:
    return OpSpec(op_type, (D, H), SAME, f"{op_type} on codes", refuse, condition=condition)


def _table(op_type: str) -> OpSpec:
    return OpSpec(op_type, (D, H), FREE, "a table of 256 codes (GatherElements)", _needs_constant(1))


_ROWS = [
    OpSpec("Conv", (D, W, B), FREE, "QLinearConv", _refuse_conv, condition="constant weight and bias; 1-D, 2-D, 3-D, grouped"),
    OpSpec("Gemm", (D, W, B), FREE, "QGemm", _refuse_gemm, condition="constant weight and bias"),
    OpSpec("MatMul", (D, W), FREE, "QLinearMatMul; QGemm with the bias that follows", condition="one or two dynamic operands"),
    OpSpec("Add", (D, D), FREE, "QLinearAdd"),
    OpSpec("Sub", (D, D), FREE, "BitwiseXor, which negates the second operand, and QLinearAdd"),
    OpSpec("Mul", (D, D), FREE, "QLinearMul; by a positive constant scalar only the scale changes"),
    OpSpec(
        "Concat", (D,), ScaleRule.SHARED, "Concat on codes; QLinearConcat where parameters differ", _refuse_concat_of_constants
    ),
    OpSpec(
        "AveragePool", (D,), FREE, "depthwise QLinearConv; QLinearAveragePool where padding is not counted", _refuse_split_pool
    ),
    OpSpec("GlobalAveragePool", (D,), FREE, "QLinearGlobalAveragePool", _refuse_global_pool),
    OpSpec("MaxPool", (D,), SAME, "MaxPool on codes", _refuse_split_pool),
    OpSpec("GlobalMaxPool", (D,), SAME, "ReduceMax on codes", _refuse_global_pool),
    OpSpec("Relu", (D,), SAME, "nothing where the range implies it, else Clip on codes"),
    OpSpec("Clip", (D, H), SAME, "nothing where the range implies it, else Clip on codes", _needs_constant(1, 2)),
    OpSpec("LeakyRelu", (D,), FREE, "QLinearLeakyRelu", _refuse_leaky_relu, condition="positive slope"),
    OpSpec("Sigmoid", (D,), FIXED, "QLinearSigmoid", fixed=_unit_interval),
    OpSpec("HardSigmoid", (D,), FIXED, "QLinearConcat of one input (a change of parameters) and Clip", fixed=_hard_sigmoid),
    OpSpec("HardSwish", (D,), FREE, "HardSigmoid as above, and QLinearMul"),
    OpSpec("Softmax", (D,), FIXED, "QLinearSoftmax", _refuse_softmax, fixed=_unit_interval),
    OpSpec("Tanh", (D,), FIXED, "a table of 256 codes (GatherElements)", fixed=_plus_minus_one),
    *map(_table, ("Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "Log", "Mish", "Neg", "Pow", "Reciprocal")),
    *map(_table, ("Round", "Selu", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "ThresholdedRelu")),
    *map(_moves, ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand", "Tile", "Identity")),
    *map(_moves, ("DepthToSpace", "SpaceToDepth", "Gather", "GatherElements", "ReduceMax", "ReduceMin")),
    _moves("Pad", "constant, reflect or edge; negative pads too", _refuse_pad),
    _moves("Resize", "nearest", _refuse_resize),
    OpSpec("ArgMax", (D,), ScaleRule.NONE, "ArgMax on codes"),
    OpSpec("ArgMin", (D,), ScaleRule.NONE, "ArgMin on codes"),
    OpSpec("Shape", (D,), ScaleRule.NONE, "Shape of the codes"),
    OpSpec("Size", (D,), ScaleRule.NONE, "Size of the codes"),
]

TABLE: dict[str, OpSpec] = {row.op_type: row for row in _ROWS}

# Ops with arithmetic of their own, for whose sake a graph is quantized; the others follow their neighbours.
HEAVY = frozenset({"Conv", "Gemm", "MatMul"})
