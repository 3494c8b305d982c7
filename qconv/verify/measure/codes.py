"""Which integer tensor holds the codes of which float tensor, as the program tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.metadata import INT_TYPES
from qconv.integer.program import Program
from qconv.integer.step import Operand, Step
from qconv.model.traits import Trait
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.verify.measure.metrics import Array

_BLOCK = 1 << 18  # elements: what is reckoned on the way stays small, and threads rarely wait for each other


@dataclass(frozen=True)
class Codes:
    """An integer tensor, the float tensor it stands for, its parameters, and the codes it is clipped to."""

    value: ir.Value
    tensor: str
    params: QuantParams
    lowest: int
    highest: int

    def quantize(self, real: Array) -> IntArray:
        """The codes of reals, clipped as the graph clips them; channels that only the integer graph has are zero."""
        codes = in_parts(self._codes, real, self.params)
        width = self.value.shape[1] if codes.ndim > 1 and self.value.shape is not None else None
        added = width - codes.shape[1] if isinstance(width, int) else 0
        if added <= 0:
            return codes
        pads = [(0, added if axis == 1 else 0) for axis in range(codes.ndim)]
        return np.pad(codes, pads, constant_values=int(self.params.zero_point.flat[0]))

    def _codes(self, real: Array) -> IntArray:
        return np.asarray(np.clip(self.params.quantize(real), self.lowest, self.highest))

    @property
    def span(self) -> tuple[float, float]:
        """The least and the greatest real that the codes hold, over all channels."""
        ends = self.params.scale * (np.asarray([[self.lowest], [self.highest]]) - self.params.zero_point.astype(np.int32))
        return float(ends.min()), float(ends.max())

    def dequantize(self, codes: IntArray, channels: int | None = None) -> FloatArray:
        """The reals of codes: of the first `channels` on axis 1 where that is given."""
        return self.params.dequantize(codes if channels is None else codes[:, :channels])


def final_codes(program: Program, tensors: frozenset[str]) -> dict[str, Codes]:
    """Float tensor -> the codes that stand for it in the end, in the order of the graph, for names among `tensors`.

    Several steps may stand for one tensor, such as a layer and the Clip behind it; the last one counts.
    """
    found: dict[str, Codes] = {}
    made = [(operand, step) for step in program.quantized for operand in step.writes]
    for operand, step in (*((operand, None) for operand in program.inputs), *made):
        tensor, params = operand.tensor, operand.params
        if operand.value.dtype in INT_TYPES and params is not None and tensor is not None and tensor in tensors:
            found.pop(tensor, None)
            found[tensor] = Codes(operand.value, tensor, params, *_limits(step, params))
    return found


def border_codes(operand: Operand, *, raw: bool = False) -> Codes | None:
    """The codes of an input or output of a program; None where it is not of an 8-bit type.

    Raises ModelError where such a value does not say its scale, unless it may hold `raw` integers: pixels, or classes.
    """
    params = operand.params
    if operand.value.dtype not in INT_TYPES or (raw and params is None):
        return None
    if params is None:
        raise ModelError(
            f"the integer model's {operand.name} holds codes, but its metadata has no qconv.scale; quantize the model again"
        )
    return Codes(operand.value, operand.name, params, params.int_type.qmin, params.int_type.qmax)


def _limits(step: Step | None, params: QuantParams) -> tuple[int, int]:
    limits = [params.int_type.qmin, params.int_type.qmax]
    if step is not None and step.traits & Trait.CLAMPS:
        for place, operand in enumerate(step.operands[1:3]):
            bound = None if operand is None else operand.constant
            if bound is not None:
                limits[place] = int(bound.reshape(()))
    return limits[0], limits[1]


def in_parts(function: Callable[[Array], Array], array: Array, params: QuantParams) -> Array:
    """A function by element of a tensor with these parameters, part by part, so that what it needs on the way stays small."""
    if array.size <= _BLOCK or (params.axis is not None and array.ndim < 2):
        return function(array)
    others = [axis for axis in range(array.ndim) if params.axis is None or axis != params.axis % array.ndim]
    split = max(others, key=lambda axis: array.shape[axis])
    ends = np.linspace(0, array.shape[split], min(array.shape[split], -(-array.size // _BLOCK)) + 1).astype(int).tolist()
    places = [(*[slice(None)] * split, slice(start, end)) for start, end in pairwise(ends)]
    first = function(array[places[0]])
    found = np.empty(array.shape, first.dtype)
    found[places[0]] = first
    for place in places[1:]:
        found[place] = function(array[place])
    return found
