"""Operators that onnx's own reference implementation computes: exact on integers and shapes, and not worth writing again."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from qconv.integer.execution.arrays import Array, Operands
from qconv.integer.step import Step

_OPSET = 21

OPERATORS = frozenset(
    ["And", "Or", "Xor", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where", "Abs", "Neg", "Sign"]
    + [
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "ArgMax",
        "ArgMin",
        "CumSum",
        "Constant",
        "ConstantOfShape",
        "Range",
    ]
    + [
        "DepthToSpace",
        "SpaceToDepth",
        "Tile",
        "GatherND",
        "ScatterElements",
        "ScatterND",
        "Compress",
        "ReverseSequence",
        "NonZero",
    ]
)


def evaluate(step: Step, inputs: Operands) -> list[Array]:
    """The outputs of one plain operator, by onnx.reference."""
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if name and array is not None}
    outputs = _evaluator(ir.to_proto(_renamed(step, names)).SerializeToString()).run(None, feeds)
    return [np.asarray(output) for output in outputs]


@lru_cache(maxsize=1024)
def _evaluator(node: bytes) -> ReferenceEvaluator:
    return ReferenceEvaluator(onnx.NodeProto.FromString(node), opsets={"": _OPSET})


def _renamed(step: Step, names: list[str]) -> ir.Node:
    inputs = [ir.Value(name=name) if name else None for name in names]
    outputs = [ir.Value(name=f"y{i}") for i in range(len(step.writes))]
    return ir.Node(step.domain, step.op, inputs, list(step.geometry.attributes.values()), outputs=outputs)
