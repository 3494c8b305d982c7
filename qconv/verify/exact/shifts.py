"""Which multipliers and scales of an integer network are those of a grid (qconv/quant/grids.py): shifts, or few bits more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.grids import POWERS, Grid
from qconv.quant.types import BoolArray, FloatArray


@dataclass(frozen=True)
class InGrid:
    """How many multipliers there are, and are `short`; how many scales, and are powers of two; and the nodes of other ones."""

    multipliers: int
    short: int
    scales: int
    powers: int
    others: tuple[str, ...]


def in_grid(program: Program, grid: Grid) -> InGrid:
    """The multipliers of all steps of a program; where scales are free, nodes are named for their multipliers alone."""
    steps = program.quantized
    multipliers = [_flat(grid.has(_real(multiplier)) for multiplier in step.multipliers) for step in steps]
    scales = [_flat(POWERS.has(scale) for scale in _scales(step)) for step in steps]
    pairs = zip(steps, multipliers, scales, strict=True)
    others = [step.name for step, short, powers in pairs if not short.all() or (grid.powers and not powers.all())]
    all_short, all_powers = _flat(multipliers), _flat(scales)
    return InGrid(len(all_short), int(all_short.sum()), len(all_powers), int(all_powers.sum()), tuple(others))


def _flat(parts: Iterable[BoolArray]) -> BoolArray:
    return np.concatenate([np.zeros(0, bool), *(part.reshape(-1) for part in parts)])


def _real(multiplier: Multiplier) -> FloatArray:
    return np.asarray(multiplier.real, np.float32)


def _scales(step: Step) -> Iterator[FloatArray]:
    for operand in (*(step.reads if step.rescales else ()), *step.writes):
        if operand.params is not None:
            yield operand.params.scale
