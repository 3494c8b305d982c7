"""Appends nodes to a graph, for calibration to read more than the graph says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.names import Names

_PICTURE_RANK = 4


class Appender:
    """Appends to one graph; all names are new."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph, self._names = graph, Names(graph)
        self._flat: dict[ir.Value, ir.Value] = {}
        self._constants: dict[tuple[int, ...], ir.Value] = {}

    def reduce(self, op_type: str, value: ir.Value) -> ir.Value:
        """One reduction over all elements, of shape [1]."""
        return self.append(op_type, [self.flat(value)], f"{value.name}_{op_type}")

    def over_channels(self, value: ir.Value, axis: int) -> list[ir.Value]:
        """Minimum, maximum and sum of squares of each slice along `axis`, [slices], and the number of all elements."""
        assert value.shape is not None
        others = self.integers(*(i for i in range(len(value.shape)) if i != axis))

        def along(op_type: str) -> ir.Value:
            return self.append(op_type, [value, others], f"{value.name}_{op_type}", {"keepdims": 0})

        size = self.append("Size", [value], f"{value.name}_size", dtype=ir.DataType.INT64)
        return [along("ReduceMin"), along("ReduceMax"), along("ReduceSumSquare"), size]

    def flat(self, value: ir.Value) -> ir.Value:
        """All elements in one row."""
        if value not in self._flat:
            self._flat[value] = self.append("Reshape", [value, self.integers(-1)], f"{value.name}_flat")
        return self._flat[value]

    def maximum(self, value: ir.Value, clamped: bool) -> ir.Value:
        """The maximum, in the blocked layout where that pays."""
        if clamped and value.shape is not None and len(value.shape) == _PICTURE_RANK:
            value = self.append("GlobalMaxPool", [value], f"{value.name}_GlobalMaxPool")
        return self.reduce("ReduceMax", value)

    def thin(self, value: ir.Value, grid: int) -> ir.Value:
        """Every `grid`-th row and column of pictures [N, C, H, W] of fixed size, in the blocked layout."""
        attributes = {"kernel_shape": [1, 1], "strides": [grid, grid]}
        thinned = self.append("MaxPool", [value], f"{value.name}_thin", attributes)
        assert value.shape is not None
        sizes = [-(-size // grid) if axis > 1 and isinstance(size, int) else size for axis, size in enumerate(value.shape)]
        thinned.shape = ir.Shape(sizes)
        return thinned

    def integers(self, *numbers: int) -> ir.Value:
        """A constant int64 vector."""
        if numbers not in self._constants:
            tensor = ir.tensor(np.array(numbers, np.int64))
            self._constants[numbers] = ir.Value(name=self._names.fresh("qconv_integers"), const_value=tensor)
            self._graph.register_initializer(self._constants[numbers])
        return self._constants[numbers]

    def real(self, number: float) -> ir.Value:
        """A constant float32 scalar."""
        tensor = ir.tensor(np.asarray(number, np.float32))
        value = ir.Value(name=self._names.fresh("qconv_real"), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def integer_input(self, wish: str) -> ir.Value:
        """A new graph input, int64 [1]."""
        value = ir.Value(name=self._names.fresh(wish), type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([1]))
        self._graph.inputs.append(value)
        return value

    def append(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        wish: str,
        attributes: Mapping[str, int | Sequence[int]] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
    ) -> ir.Value:
        """A node of one output."""
        return self.append_many(op_type, inputs, wish, 1, attributes, dtype)[0]

    def append_many(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        wish: str,
        count: int,
        attributes: Mapping[str, int | Sequence[int]] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
    ) -> Sequence[ir.Value]:
        """A node of `count` outputs."""
        node = ir.node(op_type, inputs, attributes or {}, num_outputs=count, name=self._names.fresh_node(wish))
        for output in node.outputs:
            output.name, output.type = self._names.fresh(wish), ir.TensorType(dtype)
        self._graph.append(node)
        return node.outputs
