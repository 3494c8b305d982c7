"""Which additions of an integer program give other codes on 64-bit ARM, whose kernel has short multipliers (quant/neon.py)."""

from __future__ import annotations

from collections.abc import Iterator

from qconv.integer.program import Program
from qconv.integer.step import Step
from qconv.quant.neon import neon_add_table
from qconv.quant.tables import add_table


def differing_additions(program: Program) -> Iterator[Step]:
    """The steps whose sums differ on 64-bit ARM for some pair of codes, in the order of the program."""
    return (step for step in program.all_steps() if step.op == "QLinearAdd" and _differs(step))


def _differs(step: Step) -> bool:
    if not step.rescales:
        return True
    a, b, y = step.codes(0), step.codes(1), step.result
    return bool((neon_add_table(a, b, y) != add_table(a, b, y)).any())
