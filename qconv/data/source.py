"""What a source of samples is: an iterable, again and again, of feeds for the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import length_hint
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ModelError


@dataclass(frozen=True)
class InputInfo:
    """An input of the model: its numpy type and its shape, where None stands for a size that is free.

    `masks` says that it may hold -inf, as what is added in front of a Softmax may; `whole` that axis 0 holds the steps of one
    sequence, so that rows of it are no samples.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    masks: bool = False
    whole: bool = False

    @property
    def batch(self) -> int:
        """How many rows a feed takes on axis 0: the model's fixed number, or 1."""
        return 1 if not self.shape or self.shape[0] is None else self.shape[0]

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}])"


@dataclass(frozen=True, eq=False)
class Sample:
    """One run of the model: an array per input, the class if known, and a name that a person finds again."""

    feeds: Mapping[str, NDArray[Any]]
    label: int | None
    name: str


@runtime_checkable
class SampleSource(Protocol):
    """Samples that can be gone through any number of times; has `__len__` where the number is known."""

    @property
    def description(self) -> str:
        """Where the samples come from, for the calibration file."""
        ...

    @property
    def warning(self) -> str | None:
        """What a user must know before trusting results from these samples."""
        ...

    def __iter__(self) -> Iterator[Sample]:
        """The samples, in the same order each time. Raises DataError on a bad one."""
        ...


def known_length(source: SampleSource) -> int | None:
    """The number of samples, or None where only iterating tells: without `__len__`, or where that raises TypeError."""
    hint = length_hint(source, -1)
    return None if hint < 0 else hint


def inputs_of(model: ir.Model) -> tuple[InputInfo, ...]:
    """The inputs that a feed must fill, in order. Raises ModelError for inputs that are not tensors of known rank."""
    return tuple(_input_info(value) for value in model.graph.inputs if value.name not in model.graph.initializers)


def _input_info(value: ir.Value) -> InputInfo:
    if value.dtype is None or value.shape is None:
        raise ModelError(f"the model's input {value.name} has no type or shape; export the model with typed inputs")
    try:
        dtype = np.dtype(value.dtype.numpy())
    except TypeError:
        raise ModelError(
            f"the model's input {value.name} holds {value.dtype.name}, which arrays cannot; use a numeric input"
        ) from None
    return InputInfo(str(value.name), dtype, tuple(size if isinstance(size, int) else None for size in value.shape))
