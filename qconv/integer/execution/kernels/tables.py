"""Functions of one code, as tables of 256 entries: QLinearLeakyRelu, QLinearSigmoid, and the rescaling inside QLinearConcat.

Concat      q = clamp(Zy + round((x - Zx) M)), a copy where (S, Z) are equal     (docs/arithmetic.md, equation 8)
LeakyRelu   the same, with a second M below Zx
Sigmoid     q = clamp(Zy + round(sigmoid(Sx (x - Zx)) / Sy)), rounded once from float64
"""

from __future__ import annotations

import math

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, required
from qconv.integer.execution.kernels.requantize import code_values, look_up, requantize_table
from qconv.integer.step import Step
from qconv.quant.types import QuantParams


def qlinear_leaky_relu(step: Step, inputs: Operands) -> list[Array]:
    """x where it is at or above its zero point, alpha x below; `alpha` is positive."""
    return [look_up(leaky_table(step), required(inputs, 0))]


def leaky_table(step: Step) -> Array:
    """The 256 codes of a LeakyRelu by bit pattern."""
    x = step.codes(0)
    above, below = (requantize_table(multiplier, x, step.result) for multiplier in step.multipliers)
    return np.where(code_values(x.int_type.dtype) >= x.zero, above, below)


def qlinear_sigmoid(step: Step, inputs: Operands) -> list[Array]:
    """1 / (1 + exp(-x)) of the real that a code stands for."""
    return [look_up(sigmoid_table(step.codes(0), step.result), required(inputs, 0))]


def sigmoid_table(x: QuantParams, result: QuantParams) -> Array:
    """The 256 codes of the sigmoid by bit pattern."""
    real = float(x.scale) * (code_values(x.int_type.dtype) - x.zero)
    values = np.array([1 / (1 + math.exp(-r)) if r > -700 else 0.0 for r in real.tolist()])
    limits = np.iinfo(result.int_type.dtype)
    codes = np.clip(np.rint(values / float(result.scale)) + result.zero, limits.min, limits.max)
    return np.asarray(codes.astype(limits.dtype))


def qlinear_concat(step: Step, inputs: Operands) -> list[Array]:
    """The inputs brought to the output's (S, Z), one after another along `axis`; one input is a plain rescaling."""
    tables = part_tables(step)
    parts = [required(inputs, index) for index in range(len(tables))]
    moved = [x if table is None else look_up(table, x) for x, table in zip(parts, tables, strict=True)]
    return [np.concatenate(moved, axis=step.geometry.integer("axis"))]


def part_tables(step: Step) -> list[Array | None]:
    """The rescaling of each part of a QLinearConcat by bit pattern; None for a part that has the output's (S, Z)."""
    params = [step.codes(index) for index in range(len(step.operands))]
    return [
        None if x == step.result else requantize_table(multiplier, x, step.result)
        for x, multiplier in zip(params, step.multipliers, strict=True)
    ]
