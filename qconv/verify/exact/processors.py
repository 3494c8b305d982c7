"""On which processors an integer model gives the same codes, read off its weights and its scales.

Kernels differ in two places: products of uint8 and int8 that are added in int16 (integer/saturation.py), and additions with short
multipliers (quant/neon.py). All others gave the same codes wherever they were run: benchmarks/other_cpus.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from qconv.integer.program import Program
from qconv.integer.saturation import saturating_steps
from qconv.integer.standard import foreign_to_others
from qconv.model.machine import adds_in_integers, adds_pairs_in_int16
from qconv.sentences import some_of
from qconv.targets import TARGETS, Rules, Target
from qconv.verify.exact.additions import differing_additions


def exact_on(program: Program) -> tuple[str, ...]:
    """The names of the targets on whose processors the model gives the same codes."""
    pairs, sums, foreign = any(saturating_steps(program)), any(differing_additions(program)), any(foreign_to_others(program))

    def is_exact(target: Target) -> bool:
        arithmetic = target.arithmetic
        wrong = (arithmetic.adds_pairs_in_int16 and pairs) or (arithmetic.adds_in_integers and sums)
        return not wrong and not (Rules.STANDARD in target.rules and foreign)

    return tuple(name for name, target in TARGETS.items() if is_exact(target))


def machine_warnings(program: Program) -> Iterator[str]:
    """A sentence for each kind of step that gives other codes on the processor that this runs on."""
    saturating = [step.name for step in saturating_steps(program)]
    if saturating and adds_pairs_in_int16():
        yield (
            f"this processor has AVX2 and no VNNI, and products of {some_of(saturating)} may saturate on it, so that results are "
            "wrong; quantize the model with --target x86, which is exact on every x86"
        )
    differing = [step.name for step in differing_additions(program)] if adds_in_integers() else []
    if differing:
        yield (
            f"this processor adds with short multipliers, so that sums of {some_of(differing)} may be off by a code; "
            "quantize the model with --target arm, which is proved for them"
        )
