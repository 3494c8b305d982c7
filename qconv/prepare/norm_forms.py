"""What the parts of a norm look like when they are written out: means, squares and roots along some axes of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import reduced_axes

from .affine import affine_of

_TOLERANCE = 1e-4  # exporters round 1 / N to float32, and some write few digits


@dataclass(frozen=True)
class Total:
    """share * sum(source along axes); the share is 1 / N for a mean."""

    source: ir.Value
    axes: tuple[int, ...]
    share: float

    @property
    def size(self) -> int | None:
        """N, the number of elements that are added, or None where it is not known."""
        shape = self.source.shape
        sizes = [] if shape is None else [shape[axis] for axis in self.axes]
        known = [size for size in sizes if isinstance(size, int)]
        return math.prod(known) if shape is not None and len(known) == len(sizes) else None

    @property
    def is_mean(self) -> bool:
        """Whether the share is 1 / N."""
        return self.size is not None and math.isclose(self.share * self.size, 1.0, rel_tol=_TOLERANCE)


def behind_broadcast(value: ir.Value | None) -> ir.Value | None:
    """The value that reshapes and expansions bring into the shape of its reader."""
    while value is not None and (maker := value.producer()) is not None:
        if not (has_trait(maker, Trait.RESHAPES) or maker.op_type == "Expand"):
            break
        value = maker.inputs[0]
    return value


def total_of(value: ir.Value | None) -> Total | None:
    """A value as a sum or mean along axes, or None. Its share has the constants that it is multiplied by."""
    value, share = behind_broadcast(value), 1.0
    while value is not None and (maker := value.producer()) is not None:
        step = affine_of(maker)
        if step is None or step[1].axis is not None or step[1].shifts:
            break
        value, share = behind_broadcast(step[0]), share * float(step[1].scale[0])
    maker = None if value is None else value.producer()
    if maker is None or maker.domain or maker.op_type not in ("ReduceMean", "ReduceSum") or maker.inputs[0] is None:
        return None
    axes = reduced_axes(maker)
    if axes is None:
        return None
    found = Total(maker.inputs[0], axes, share)
    if maker.op_type == "ReduceSum":
        return found
    return None if found.size is None else Total(maker.inputs[0], axes, share / found.size)


def mean_of(value: ir.Value | None) -> Total | None:
    """A value as a mean along axes, or None."""
    found = total_of(value)
    return found if found is not None and found.is_mean else None


def square_of(value: ir.Value | None) -> ir.Value | None:
    """x where a value is x^2."""
    maker = None if value is None else value.producer()
    if maker is None or maker.domain:
        return None
    if maker.op_type == "Mul" and maker.inputs[0] is maker.inputs[1]:
        return maker.inputs[0]
    return maker.inputs[0] if maker.op_type == "Pow" and exponent_of(maker) == 2.0 else None


def exponent_of(node: ir.Node) -> float | None:
    """The constant exponent of a Pow."""
    array = const_array(node.inputs[1])
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def lower_bound(value: ir.Value | None) -> tuple[float, ir.Value | None]:
    """The constant that a value is at least, and what it bounds: Max, Clip or Relu; (0, itself) for anything else."""
    maker = None if value is None else value.producer()
    if maker is not None and maker.op_type == "Relu" and not maker.domain:
        return 0.0, maker.inputs[0]
    if maker is None or maker.domain or maker.op_type not in ("Max", "Clip") or len(maker.inputs) < 2:
        return 0.0, value
    for index in (1, 0) if maker.op_type == "Max" else (1,):
        array = const_array(maker.inputs[index])
        if array is not None and array.size == 1:
            return float(array.reshape(())), maker.inputs[1 - index] if maker.op_type == "Max" else maker.inputs[0]
    return 0.0, value
