"""Which integer tensor holds the codes of which float tensor, as the program tells it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.metadata import INT_TYPES, read_params
from qconv.integer.program import Program
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.verify.metrics import Array


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
        codes = np.clip(self.params.quantize(real), self.lowest, self.highest)
        width = self.value.shape[1] if codes.ndim > 1 and self.value.shape is not None else None
        added = width - codes.shape[1] if isinstance(width, int) else 0
        if added <= 0:
            return codes
        pads = [(0, added if axis == 1 else 0) for axis in range(codes.ndim)]
        return np.pad(codes, pads, constant_values=int(self.params.zero_point.flat[0]))

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
    for operand in (*program.inputs, *(operand for step in program.quantized for operand in step.writes)):
        tensor, params = operand.tensor, operand.params
        if operand.value.dtype in INT_TYPES and params is not None and tensor is not None and tensor in tensors:
            found.pop(tensor, None)
            found[tensor] = _codes(operand.value, tensor, params)
    return found


def border_codes(value: ir.Value, *, raw: bool = False) -> Codes | None:
    """The codes of a graph input or output; None where it is not of an 8-bit type.

    Raises ModelError where such a value does not say its scale, unless it may hold `raw` integers: pixels, or classes.
    """
    if value.dtype not in INT_TYPES or (raw and read_params(value) is None):
        return None
    params = read_params(value)
    if params is None:
        raise ModelError(
            f"the integer model's {value.name} holds codes, but its metadata has no qconv.scale; quantize the model again"
        )
    return _codes(value, str(value.name), params)


def _codes(value: ir.Value, tensor: str, params: QuantParams) -> Codes:
    return Codes(value, tensor, params, *_limits(value.producer(), params))


def _limits(node: ir.Node | None, params: QuantParams) -> tuple[int, int]:
    limits = [params.int_type.qmin, params.int_type.qmax]
    if node is not None and has_trait(node, Trait.CLAMPS):
        for place, value in enumerate(node.inputs[1:3]):
            bound = const_array(value)
            if bound is not None:
                limits[place] = int(bound.reshape(()))
    return limits[0], limits[1]
