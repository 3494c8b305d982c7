"""The array types that kernels speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Operands = Sequence[Array | None]  # a node's inputs; None where an optional one is left out


def required(inputs: Operands, index: int) -> Array:
    """Input `index`; raises ValueError where it is missing."""
    if index >= len(inputs) or (array := inputs[index]) is None:
        raise ValueError(f"input {index} is missing")
    return array


def optional(inputs: Operands, index: int) -> Array | None:
    """Input `index`, or None where it is left out."""
    return inputs[index] if index < len(inputs) else None


def scalar(inputs: Operands, index: int) -> int:
    """Input `index` as one integer, such as a zero point; 0 where it is left out. Raises ValueError for several values."""
    array = optional(inputs, index)
    if array is None:
        return 0
    if array.size != 1:
        raise ValueError(f"input {index} has {array.size} values where one is expected")
    return int(array.reshape(()))


def integers(array: Array) -> list[int]:
    """The values of a 0-d or 1-d integer array, such as axes or a shape."""
    return [int(value) for value in np.atleast_1d(array)]
