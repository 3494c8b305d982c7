"""One kernel for each operator of an integer graph: a function of a step and its arguments, exact in integers.

A kernel raises ValueError for what it does not compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from qconv.errors import ModelError
from qconv.integer.execution.arrays import Array, Operands
from qconv.integer.execution.kernels import (
    binary,
    control,
    conv,
    elementwise,
    matmul,
    pad,
    pools,
    quantize,
    reference,
    resize,
    shape,
    softmax,
    tables,
)
from qconv.integer.step import Step
from qconv.model.traits import Trait

Kernel = Callable[[Step, Operands], list[Array]]

MICROSOFT = "com.microsoft"

KERNELS: Mapping[tuple[str, str], Kernel] = {
    ("", "QuantizeLinear"): quantize.quantize_linear,
    ("", "DequantizeLinear"): quantize.dequantize_linear,
    ("", "DynamicQuantizeLinear"): quantize.dynamic_quantize_linear,
    ("", "QLinearConv"): conv.qlinear_conv,
    ("", "ConvInteger"): conv.conv_integer,
    ("", "QLinearMatMul"): matmul.qlinear_matmul,
    (MICROSOFT, "QLinearConv"): conv.conv_of_channels_last,
    (MICROSOFT, "QGemm"): matmul.qgemm,
    ("", "MatMulInteger"): matmul.matmul_integer,
    ("", "MatMul"): matmul.matmul,
    (MICROSOFT, "QLinearAdd"): binary.qlinear_add,
    (MICROSOFT, "QLinearMul"): binary.qlinear_mul,
    (MICROSOFT, "QLinearConcat"): tables.qlinear_concat,
    (MICROSOFT, "QLinearLeakyRelu"): tables.qlinear_leaky_relu,
    (MICROSOFT, "QLinearSigmoid"): tables.qlinear_sigmoid,
    (MICROSOFT, "QLinearSoftmax"): softmax.qlinear_softmax,
    (MICROSOFT, "QLinearAveragePool"): pools.qlinear_average_pool,
    (MICROSOFT, "QLinearGlobalAveragePool"): pools.qlinear_global_average_pool,
    ("", "MaxPool"): pools.max_pool,
    ("", "Pad"): pad.pad,
    ("", "Resize"): resize.resize,
    ("", "Identity"): shape.identity,
    ("", "Reshape"): shape.reshape,
    ("", "Flatten"): shape.flatten,
    ("", "Transpose"): shape.transpose,
    ("", "Squeeze"): shape.squeeze,
    ("", "Unsqueeze"): shape.unsqueeze,
    ("", "Expand"): shape.expand,
    ("", "Concat"): shape.concat,
    ("", "Split"): shape.split,
    ("", "Slice"): shape.slice_,
    ("", "Gather"): shape.gather,
    ("", "GatherElements"): shape.gather_elements,
    ("", "TopK"): shape.top_k,
    ("", "Shape"): shape.shape_of,
    ("", "Size"): shape.size_of,
    ("", "Scan"): control.scan(lambda step, inputs: KERNELS[step.key](step, inputs)),
    ("", "Clip"): elementwise.clip,
    ("", "Cast"): elementwise.cast,
    ("", "Max"): elementwise.variadic(np.maximum),
    ("", "Min"): elementwise.variadic(np.minimum),
    ("", "Add"): elementwise.variadic(np.add),
    ("", "Sub"): elementwise.variadic(np.subtract),
    ("", "Mul"): elementwise.variadic(np.multiply),
    ("", "Div"): elementwise.divide,
    ("", "Mod"): elementwise.modulo,
    ("", "ReduceSum"): elementwise.reduction(np.sum),
    ("", "ReduceProd"): elementwise.reduction(np.prod),
    ("", "ReduceMax"): elementwise.reduction(np.max),
    ("", "ReduceMin"): elementwise.reduction(np.min),
    ("", "ReduceMean"): elementwise.reduction(elementwise.mean),
    **{("", op_type): reference.evaluate for op_type in reference.OPERATORS},
}

# They read or write reals and are still exact: the two ends of the language, and what only moves or measures.
_EXACT_ON_REALS = Trait.QUANTIZES | Trait.DEQUANTIZES | Trait.SCALES_BY_RUN | Trait.MOVES | Trait.JOINS | Trait.MEASURES


def is_computable(step: Step) -> bool:
    """Whether a step is of the integer language: neither in float nor without a kernel."""
    return step.key in KERNELS and bool(not step.in_float or step.traits & _EXACT_ON_REALS)


def compute(step: Step, inputs: Operands) -> list[Array]:
    """The outputs of a step on its arguments. Raises ModelError for what is not computed in integers."""
    if not is_computable(step):
        raise ModelError(f"node {step.name!r} ({step.op}) is outside the integer language: its outputs must be given")
    try:
        return KERNELS[step.key](step, inputs)
    except ValueError as error:
        raise ModelError(f"node {step.name!r} ({step.op}) cannot be computed in integers: {error}") from error
