"""Inputs that always have one value become constants, and free sizes become numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import UsageError


def fix_inputs(model: ir.Model, fixed: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    """Turns inputs into constants, or free sizes of inputs into numbers, in place; returns the arrays by input.

    Sizes go first, so that the shapes of inputs are known. Raises UsageError for a name that is neither, and for a value that the
    input cannot hold.
    """
    inputs = {str(value.name): value for value in model.graph.inputs}
    for name in fixed.keys() - inputs.keys():
        _fix_size(model, name, fixed[name])
    arrays = {name: _array(inputs[name], number) for name, number in fixed.items() if name in inputs}
    for name, array in arrays.items():
        value = inputs[name]
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(array, name=name)
        model.graph.register_initializer(value)
    return arrays


def _fix_size(model: ir.Model, name: str, number: float) -> None:
    shapes = [value.shape for value in model.graph.inputs if value.shape is not None]
    free = sorted({str(size.value) for shape in shapes for size in shape if isinstance(size, ir.SymbolicDim) and size.value})
    if name not in free:
        inputs = ", ".join(str(value.name) for value in model.graph.inputs)
        sizes = f", and its free sizes {', '.join(free)}" if free else ""
        raise UsageError(f"{name} cannot be pinned: the inputs of the model are {inputs}{sizes}")
    if number != int(number) or number < 1:
        raise UsageError(f"the size {name} cannot be pinned to {number:g}; give a whole number from 1")
    for value in _values(model):
        shape = value.shape
        if shape is not None and any(isinstance(size, ir.SymbolicDim) and size.value == name for size in shape):
            value.shape = ir.Shape(
                [int(number) if isinstance(size, ir.SymbolicDim) and size.value == name else size for size in shape]
            )


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.inputs
        for node in graph:
            yield from node.outputs


def _array(value: ir.Value, number: float) -> NDArray[Any]:
    name, shape = str(value.name), value.shape
    if shape is None or value.dtype is None or not shape.is_static():
        sizes = "of unknown rank" if shape is None else f"of the free shape {shape}"
        raise UsageError(f"input {name} is {sizes} and cannot be pinned to {number:g}; pin its sizes, too")
    array = np.full(shape.numpy(), number).astype(value.dtype.numpy())
    if not np.array_equal(array.astype(np.float64), np.full(array.shape, number)) and value.dtype.is_integer():
        raise UsageError(f"input {name} holds {value.dtype.name} and cannot be pinned to {number:g}")
    return array
