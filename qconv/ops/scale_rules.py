"""How the parameters (S, Z) of an output follow: one small type for each way.

A row of the op table has one of them, or chooses one by the form of the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from qconv.model.graph import attr_float
from qconv.quant.types import FloatArray, IntType, QuantParams

ParamsOf = Callable[[ir.Node, IntType], QuantParams]


@dataclass(frozen=True)
class ScaleRule:
    """`computes` says whether the op makes new values, so that rounding them costs accuracy."""

    name: ClassVar[str] = ""
    text: ClassVar[str] = ""
    computes: ClassVar[bool] = True


@dataclass(frozen=True)
class Free(ScaleRule):
    """Parameters come from the range of the output."""

    name = "free"
    text = "from the calibrated range of the output"


@dataclass(frozen=True)
class Same(ScaleRule):
    """Parameters are those of the input, as the op selects, moves or clamps values: it may saturate before or after."""

    name = "same as input"
    text = "the parameters of the input: the op selects, moves or clamps values"
    computes = False


@dataclass(frozen=True)
class Averages(ScaleRule):
    """Parameters are those of the input, though the op averages."""

    name = "same as input, values mix"
    text = "the parameters of the input, though the op averages: an AveragePool whose windows differ in size"


@dataclass(frozen=True)
class Shared(ScaleRule):
    """Inputs and output have the same, or the inputs are rescaled."""

    name = "shared by all"
    text = "inputs and output share parameters where their ranges are alike; else the inputs are rescaled"
    computes = False


@dataclass(frozen=True)
class Fixed(ScaleRule):
    """Parameters come from the mathematics of the op."""

    params: ParamsOf
    name = "fixed"
    text = "from the mathematics of the op"


@dataclass(frozen=True)
class Within(ScaleRule):
    """Parameters come from the range of the output where that is much narrower than the mathematics of the op allow."""

    params: ParamsOf
    name = "own range within a fixed one"
    text = "from the calibrated range of the output, within what the mathematics of the op allow"


@dataclass(frozen=True)
class Scaled(ScaleRule):
    """The codes of the input, whose scale is multiplied by a positive constant."""

    factor: float
    name = "input times a constant"
    text = "the codes stay, and the scale is multiplied: Mul by a positive constant scalar"


@dataclass(frozen=True)
class NoFloat(ScaleRule):
    """The op has no float output."""

    name = "no float output"
    text = "there is no float output"
    computes = False


KINDS: tuple[type[ScaleRule], ...] = (Free, Same, Averages, Shared, Fixed, Within, Scaled, NoFloat)


def unit_interval(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1], where 1.0 is the highest code: a probability of one must not lose half a step.

    onnxruntime's QLinearSoftmax multiplies by floor(1 / S), so the inverse of S reaches the highest code.
    """
    return QuantParams(inverse_scale(int_type.qmax - int_type.qmin), np.asarray(int_type.qmin), int_type)


def inverse_scale(steps: int) -> FloatArray:
    """The largest float32 close to 1 / steps whose inverse does not round to less than `steps`."""
    scale = np.float32(1.0 / steps)
    while np.floor(np.float32(1.0) / scale) < steps:
        scale = np.nextafter(scale, np.float32(0.0))
    return np.asarray(scale)


def hard_sigmoid_interval(node: ir.Node, int_type: IntType) -> QuantParams:
    """[0, 1] with a step that divides beta, so that the op is one change of zero point."""
    return hard_sigmoid_params(attr_float(node, "beta", 0.5), int_type)


def hard_sigmoid_params(beta: float, int_type: IntType) -> QuantParams:
    """Scale beta / floor(beta (qmax - qmin)): beta and, for the usual 1/2, 1.0 are codes."""
    every = int_type.qmax - int_type.qmin
    steps = math.floor(beta * every) if 0 < beta <= 1 else 0
    return QuantParams(np.asarray(beta / steps if steps else 1.0 / every, np.float32), np.asarray(int_type.qmin), int_type)


def plus_minus_one(node: ir.Node, int_type: IntType) -> QuantParams:
    """Parameters for [-1, 1], where -1.0, 0.0 and 1.0 are codes."""
    half = 1 << (int_type.bits - 1)
    return QuantParams(np.asarray(1.0 / (half - 1), np.float32), np.asarray(int_type.qmin + half), int_type)
