"""Which steps of an integer program may saturate on an x86 with AVX2 and without VNNI, read off their weights.

`vpmaddubsw` adds two products of neighbours in int16. With activations up to 255 that is exact if two weights of one sign add up
to 128 at most. Depthwise convolutions have a kernel of their own, and two unsigned operands are multiplied in 16 bits and added
in 32.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.language.element_types import element_type
from qconv.integer.language.operands import CONVOLUTIONS, MATRIX_PRODUCTS
from qconv.integer.program import Program
from qconv.integer.step import Step

_SAFE = 128


def saturating_steps(program: Program) -> Iterator[Step]:
    """The steps that may give other codes without VNNI, in the order of the program."""
    return (step for step in program.all_steps() if step.op in CONVOLUTIONS | MATRIX_PRODUCTS and _may_saturate(step))


def _may_saturate(step: Step) -> bool:
    x, weight = step.operand(0), step.operand(1)
    if element_type(x.value, {}) is not ir.DataType.UINT8 or element_type(weight.value, {}) is not ir.DataType.INT8:
        return False
    array = weight.constant
    if array is None:
        return True
    rows = _conv_rows(step, array) if step.op in CONVOLUTIONS else _matrix_rows(step, array)
    return rows is not None and _passes(rows)


def _conv_rows(step: Step, weight: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """[O, positions * channels]; None for a depthwise convolution."""
    outputs, channels = weight.shape[:2]
    if channels == 1 and outputs == step.geometry.integer("group", 1):
        return None
    return np.swapaxes(weight.reshape(outputs, channels, -1), 1, 2).reshape(outputs, -1)


def _matrix_rows(step: Step, weight: NDArray[np.generic]) -> NDArray[np.generic]:
    if weight.ndim == 1:
        return weight[None]
    return weight if step.geometry.integer("transB", 0) else np.swapaxes(weight, -1, -2)


def _passes(rows: NDArray[np.generic]) -> bool:
    """Whether two weights of one sign that are added in 16 bits pass 128."""
    even = rows[..., : rows.shape[-1] // 2 * 2].astype(np.int16)
    pairs = even.reshape(*even.shape[:-1], -1, 2)
    return bool((np.where(pairs.min(-1) >= 0, pairs.sum(-1), np.where(pairs.max(-1) <= 0, -pairs.sum(-1), 0)) > _SAFE).any())
