"""The array types that kernels speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Operands = Sequence[Array | None]  # the arguments of a step; None where one is left out


def required(inputs: Operands, index: int) -> Array:
    """Input `index`; raises ValueError where it is missing."""
    if index >= len(inputs) or (array := inputs[index]) is None:
        raise ValueError(f"input {index} is missing")
    return array


def optional(inputs: Operands, index: int) -> Array | None:
    """Input `index`, or None where it is left out."""
    return inputs[index] if index < len(inputs) else None


def integers(array: Array) -> list[int]:
    """The values of a 0-d or 1-d integer array, such as axes or a shape."""
    return [int(value) for value in np.atleast_1d(array)]
