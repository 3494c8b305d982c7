"""Nodes of int32 tensors, of which nobody has to know what reals they stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.targets import Tuning

INT32 = 2**31


class Int32Nodes:
    """Emits int32 nodes for one float node of the graph; `place` names them."""

    def __init__(self, ctx: Context, place: str) -> None:
        self.ctx, self.place = ctx, place

    def emit(
        self, op_type: str, inputs: Sequence[ir.Value | None], like: ir.Value, step: str, dtype: ir.DataType = ir.DataType.INT32,
        **attributes: int,
    ) -> ir.Value:  # fmt: skip
        """A node whose output has the shape of `like`."""
        name = f"{self.place}/{step}"
        return self.ctx.emit(op_type, inputs, like, dtype, name=name, output=name, attributes=attributes)

    def constant(self, number: int | NDArray[np.generic], step: str) -> ir.Value:
        """An int32 constant."""
        array = np.asarray(number)
        assert array.size == 0 or -INT32 <= array.min() <= array.max() < INT32, f"{self.place}/{step} leaves int32"
        return self.ctx.initializer(array.astype(np.int32), f"{self.place}/{step}_constant")

    def over(self, value: ir.Value, power: int | NDArray[np.int32], like: ir.Value, step: str) -> ir.Value:
        """Integers over a power of two, or over several, cut off toward zero.

        In a graph for other runtimes they are rounded down before: one that divides in float32 has nothing to round.
        """
        if self.ctx.target.arithmetic.divides_in_float:
            value = self.emit("BitwiseAnd", [value, self.constant(-power, f"{step}_whole")], like, f"{step}_whole")
        return self.emit("Div", [value, self.constant(power, step)], like, step)

    def quotient(self, number: int | NDArray[np.generic], by: ir.Value, like: ir.Value, step: str) -> ir.Value:
        """Numbers over the elements of a tensor, which are 1 and more.

        In a graph for other runtimes the numbers become a tensor: OpenVINO inverts the divisor of a constant first, and that is 0
        in integers.
        """
        dividend = self.constant(number, step)
        if self.ctx.target.arithmetic.divides_in_float:
            zero = self.emit("Min", [by, self.constant(0, f"{step}_zero")], by, f"{step}_zero")
            dividend = self.emit("Max", [dividend, zero], like, f"{step}_dividend")
        return self.emit("Div", [dividend, by], like, step)

    def sum_of_rows(self, value: ir.Value, size: int, step: str) -> ir.Value:
        """The sums along the last axis of `size` places, which stays with one; int32 has to hold all parts of them.

        A product with ones takes a fifth of the time of a ReduceSum.
        """
        if Tuning.SUMS_AS_PRODUCTS not in self.ctx.target.tuning:
            return self._reduced("ReduceSum", value, step)
        ones = self.constant(np.ones((size, 1), np.int64), f"{step}_ones")
        return self.emit("MatMul", [value, ones], column_of(value), step)

    def sums_of_blocks(self, value: ir.Value, ones: NDArray[np.int32], step: str) -> ir.Value:
        """The sums of equal blocks of rows, along the last axis; `ones` [size, blocks] has a one where an element is of a block.

        With a row for each block, a product with one column takes 0.2 to 0.7 of the time of one with several.
        """
        size, blocks = ones.shape
        like = column_of(value, blocks)
        if Tuning.SUMS_AS_PRODUCTS not in self.ctx.target.tuning or value.shape is None:
            return self.emit("MatMul", [value, self.constant(ones, step)], like, step)
        leading, length = [0] * (len(value.shape) - 1), size // blocks
        parts = ir.Value(shape=ir.Shape([*value.shape[:-1], blocks, length]))
        cut = self._reshaped(value, [*leading, blocks, length], parts, f"{step}_parts")
        return self._reshaped(self.sum_of_rows(cut, length, f"{step}_of_parts"), [*leading, blocks], like, step)

    def _reshaped(self, value: ir.Value, sizes: Sequence[int], like: ir.Value, step: str) -> ir.Value:
        return self.emit(
            "Reshape", [value, self.ctx.initializer(np.asarray(sizes, np.int64), f"{self.place}_{step}_shape")], like, step
        )

    def mean_of_rows(self, value: ir.Value, size: int) -> ir.Value:
        """The sums of rows over their size, cut off toward zero."""
        if Tuning.SUMS_AS_PRODUCTS not in self.ctx.target.tuning:
            return self._reduced("ReduceMean", value, "mean")
        total = self.sum_of_rows(value, size, "total")
        return self.emit("Div", [total, self.constant(size, "size")], total, "mean")

    def _reduced(self, op_type: str, value: ir.Value, step: str) -> ir.Value:
        axes = self.ctx.initializer(np.asarray([-1], np.int64), f"{self.place}_{step}_axes")
        return self.emit(op_type, [value, axes], column_of(value), step, keepdims=1)


def column_of(value: ir.Value, size: int = 1) -> ir.Value:
    """The shape of a tensor with one element in each row, or with a few."""
    return ir.Value(shape=None if value.shape is None else ir.Shape([*value.shape[:-1], size]))
