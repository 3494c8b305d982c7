"""Takes the sample of qconv/statistics/sampling.py inside a graph, tensor by tensor.

No tensor waits for another: its elements are out as soon as it is there, and its memory is free again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.appender import Appender
from qconv.statistics.sampling import MOST, Sampling, Shape, step_of_shape

_INTEGER = ir.DataType.INT64


class Sampler:
    """Samples a list of tensors of one graph. The seed is an input of the graph, where anything is sampled."""

    def __init__(self, values: Sequence[ir.Value], appender: Appender, exact: bool) -> None:
        self.sampling = Sampling.of([_shape(value) for value in values], exact)
        self._places = {value: place for place, value in enumerate(values)}
        self._appender = appender
        self._seed = appender.integer_input("qconv_seed") if values and not exact else None
        self._starts = self._phases(self.sampling, appender)

    @property
    def seed_input(self) -> str | None:
        """The name of the seed's input; None where every element is taken."""
        return None if self._seed is None else str(self._seed.name)

    def take(self, value: ir.Value) -> tuple[ir.Value, ir.Value | None]:
        """The elements of one of the tensors in a row, and how many they are where only a run tells."""
        place, appender = self._places[value], self._appender
        grid = self.sampling.grids[place]
        flat = appender.flat(appender.thin(value, grid) if grid > 1 else value)
        elements = flat if self._seed is None else self._strided(flat, place, self._seed)
        if not self.sampling.free[place]:
            return elements, None
        # Of what is taken, not of the tensor, which would have to be kept until it is asked for its shape.
        return elements, appender.append("Shape", [elements], f"{value.name}_length", dtype=_INTEGER)

    def _strided(self, flat: ir.Value, place: int, seed: ir.Value) -> ir.Value:
        shape, appender = self.sampling.shapes[place], self._appender
        if shape is None:
            size = appender.append("Shape", [flat], f"{flat.name}_size", dtype=_INTEGER)
            many = appender.append("Div", [size, appender.integers(MOST)], f"{flat.name}_step", dtype=_INTEGER)
            step = appender.append("BitwiseOr", [many, appender.integers(1)], f"{flat.name}_step", dtype=_INTEGER)
            start = appender.append("Mod", [seed, step], f"{flat.name}_phase", dtype=_INTEGER)
        elif place in self._starts:
            step, start = appender.integers(step_of_shape(shape)), self._starts[place]
        else:
            return flat
        end, axis = appender.integers(np.iinfo(np.int64).max), appender.integers(0)
        return appender.append("Slice", [flat, start, end, axis, step], f"{flat.name}_sample")

    def _phases(self, sampling: Sampling, appender: Appender) -> dict[int, ir.Value]:
        """Where the samples of those tensors begin whose steps are known beforehand, all of them at once."""
        steps = {place: step_of_shape(shape) for place, shape in enumerate(sampling.shapes) if shape is not None}
        steps = {place: step for place, step in steps.items() if step > 1}
        if self._seed is None or not steps:
            return {}
        phases = appender.append("Mod", [self._seed, appender.integers(*steps.values())], "qconv_phases", dtype=_INTEGER)
        if len(steps) == 1:
            return dict.fromkeys(steps, phases)
        attributes = {"axis": 0, "num_outputs": len(steps)}
        parts = appender.append_many("Split", [phases], "qconv_phase", len(steps), attributes, _INTEGER)
        return dict(zip(steps, parts, strict=True))


def _shape(value: ir.Value) -> Shape:
    return None if value.shape is None else tuple(size if isinstance(size, int) else None for size in value.shape)
