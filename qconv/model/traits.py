"""What the operators of the standard do to the elements of their inputs, whether qconv has an integer form for them or not.

Whoever walks through a graph asks for traits, so that a new operator is one more name here. How an operator becomes integer
stands in `qconv/ops/op_table.py`.
"""

from __future__ import annotations

from enum import Flag, auto

import onnx_ir as ir


class Trait(Flag):
    """One property of an operator; an operator has all that hold."""

    NONE = 0
    MOVES = auto()  # its outputs consist of elements of its first input
    RESHAPES = auto()  # it has all elements of its first input, in their order
    PERMUTES = auto()  # it has all elements of its first input, in another order
    TAKES = auto()  # it may leave out elements of its first input, and has the others
    JOINS = auto()  # its output has the elements of all inputs
    FILLS = auto()  # it moves elements, and brings in others
    CASTS = auto()  # it changes the type only
    CHOOSES = auto()  # each element of its output is one of the elements of its inputs at that place
    EXTREMES = auto()  # each element of its output is the least or greatest of some elements of its input
    CLAMPS = auto()  # it bounds its first input
    COMPARES = auto()
    SUMS = auto()  # of elements at one place: a + b, a - b
    TOTALS = auto()  # sums of elements of many places
    NEGATES = auto()
    MULTIPLIES = auto()
    DIVIDES = auto()
    AVERAGES = auto()
    POOLS = auto()  # its windows may be counted in ceil_mode
    WEIGHTS = auto()  # it sums products of its input and a weight
    RECURS = auto()
    NORMALIZES = auto()  # by statistics per channel that the model remembers
    STANDARDIZES = auto()  # it divides rows by their deviation
    SHRINKS = auto()  # no element of its output is larger in magnitude than that of its input
    BOUNDS = auto()  # its output lies within [-1, 1]
    PROBABILITIES = auto()  # its output sums to 1 along an axis
    INTERPOLATES = auto()
    SLOPES = auto()  # the identity above zero, a line below
    QUANTIZES = auto()
    DEQUANTIZES = auto()
    SCALES_BY_RUN = auto()  # it finds the scale of its codes in each run
    ON_CODES = auto()  # it is found in models that are quantized already
    MEASURES = auto()  # it reads shapes, and no elements
    COUNTS = auto()  # it makes numbers of bounds
    GROWS = auto()  # its output may be longer than anything in the file
    FOLLOWS = auto()  # each channel of its output follows that of its input: f(k x) = k f(x) for k > 0
    GATES = auto()  # it makes of each element a factor between 0 and 1, which is one of both for elements far from zero
    GATES_ITSELF = auto()  # the product of its input and such a factor
    CURVES = auto()  # each element of its output is a smooth function of that of its first input
    BRANCHES = auto()  # its first input decides what it runs
    DRAWS = auto()  # its output is random
    REPEATS = auto()  # its first two inputs decide how often it runs what is inside


_ROWS = {
    Trait.BRANCHES: "If",
    Trait.REPEATS: "Loop",
    Trait.MOVES: "Compress DepthToSpace Expand Flatten Gather GatherElements GatherND Identity Reshape ReverseSequence Slice "
    "SpaceToDepth Split Squeeze Tile Transpose Unsqueeze",
    Trait.RESHAPES: "Flatten Identity Reshape Squeeze Unsqueeze",
    Trait.PERMUTES: "Transpose",
    Trait.TAKES: "Compress Gather GatherElements GatherND Slice Split",
    Trait.JOINS: "Concat",
    Trait.FILLS: "Pad Trilu",
    Trait.CASTS: "Cast CastLike",
    Trait.CHOOSES: "Clip Max Min Where",
    Trait.EXTREMES: "GlobalMaxPool MaxPool ReduceMax ReduceMin",
    Trait.CLAMPS: "Clip Relu",
    Trait.COMPARES: "Equal Greater GreaterOrEqual Less LessOrEqual",
    Trait.SUMS: "Add Sub Sum",
    Trait.TOTALS: "ReduceSum",
    Trait.NEGATES: "Neg",
    Trait.MULTIPLIES: "Mul",
    Trait.DIVIDES: "Div",
    Trait.AVERAGES: "AveragePool GlobalAveragePool ReduceMean",
    Trait.POOLS: "AveragePool LpPool MaxPool",
    Trait.WEIGHTS: "Conv ConvTranspose Gemm MatMul",
    Trait.RECURS: "GRU LSTM RNN",
    Trait.NORMALIZES: "BatchNormalization",
    Trait.STANDARDIZES: "LayerNormalization RMSNormalization SimplifiedLayerNormalization",
    Trait.SHRINKS: "Abs HardSwish Neg Relu",
    Trait.BOUNDS: "Cos Erf HardSigmoid Sigmoid Sin Softmax Softsign Tanh",
    Trait.PROBABILITIES: "Softmax",
    Trait.INTERPOLATES: "Resize",
    Trait.SLOPES: "LeakyRelu",
    Trait.DRAWS: "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike",
    Trait.QUANTIZES: "QuantizeLinear",
    Trait.DEQUANTIZES: "DequantizeLinear",
    Trait.SCALES_BY_RUN: "DynamicQuantizeLinear",
    Trait.ON_CODES: "ConvInteger DequantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear",
    Trait.MEASURES: "Shape Size",
    Trait.COUNTS: "Range",
    Trait.GROWS: "Concat ConstantOfShape Expand Range Tile",
    Trait.FOLLOWS: "AveragePool Clip GlobalAveragePool GlobalMaxPool Identity LeakyRelu MaxPool Pad Relu Resize",
    Trait.GATES: "HardSigmoid Sigmoid",
    Trait.GATES_ITSELF: "HardSwish",
    Trait.CURVES: "Acos Acosh Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu Log Mish Pow Reciprocal Selu Sin Sinh "
    "Softplus Softsign Sqrt Tan Tanh",
}


def _table() -> dict[tuple[str, str], Trait]:
    table: dict[tuple[str, str], Trait] = {}
    for trait, names in _ROWS.items():
        for name in names.split():
            table["", name] = table.get(("", name), Trait.NONE) | trait
    return table


TRAITS = _table()


def key_of(node: ir.Node) -> tuple[str, str]:
    """The domain, empty for the standard's, and the name of a node's operator."""
    return "" if node.domain == "ai.onnx" else node.domain, node.op_type


def has_trait(node: ir.Node, traits: Trait) -> bool:
    """Whether a node's operator has one of these traits; an unknown operator has none."""
    return bool(TRAITS.get(key_of(node), Trait.NONE) & traits)
