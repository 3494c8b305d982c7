"""Where an integer model shall run: what the kernels there can do exactly."""

from __future__ import annotations

from dataclasses import dataclass

from qconv.errors import UsageError


@dataclass(frozen=True)
class Target:
    """A kind of processor, as onnxruntime uses it.

    `signed_activations` are int8, others uint8. `adds_pairs_in_int16` says that a kernel may add products of uint8 and int8 in 16
    bits: weights then keep to safe pairs (quant/saturation.py), and the second operand of a product of two activations stays
    unsigned. `adds_in_integers` says that QLinearAdd has short multipliers there (quant/neon.py): an Add must be proved for that
    kernel, as it is for other targets too where a scale can be found. `standard_operators` says that the graph shall run in other
    runtimes than onnxruntime: operators of ai.onnx alone, each with one scale for a tensor (lower/standard), and no ties that
    runtimes round differently.
    """

    name: str
    title: str
    signed_activations: bool = False
    adds_pairs_in_int16: bool = False
    adds_in_integers: bool = False
    standard_operators: bool = False


TARGETS = {
    target.name: target
    for target in (
        Target("x86", "every x86", adds_pairs_in_int16=True),
        Target("x86-vnni", "x86 with VNNI, or without AVX2"),
        Target("arm", "64-bit ARM and every x86, with int8 activations", signed_activations=True, adds_in_integers=True),
        Target("portable", "other runtimes too, in ai.onnx alone", adds_pairs_in_int16=True, standard_operators=True),
    )
}


def target_of(name: str) -> Target:
    """The target of that name. Raises UsageError where there is none."""
    if name not in TARGETS:
        raise UsageError(f"there is no target {name}; take one of {', '.join(TARGETS)}")
    return TARGETS[name]
