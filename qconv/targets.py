"""Where an integer model shall run: what the kernels there can do exactly."""

from __future__ import annotations

from dataclasses import dataclass

from qconv.errors import UsageError


@dataclass(frozen=True)
class Target:
    """A kind of processor, as onnxruntime uses it.

    `adds_pairs_in_int16` says that a kernel may add two products in 16 bits: weights then keep to safe pairs
    (quant/saturation.py), and the second operand of a product of two activations stays unsigned.
    """

    name: str
    title: str
    adds_pairs_in_int16: bool


TARGETS = {
    target.name: target
    for target in (
        Target("x86", "every x86", adds_pairs_in_int16=True),
        Target("x86-vnni", "x86 with VNNI, or without AVX2", adds_pairs_in_int16=False),
    )
}


def target_of(name: str) -> Target:
    """The target of that name. Raises UsageError where there is none."""
    if name not in TARGETS:
        raise UsageError(f"there is no target {name}; take one of {', '.join(TARGETS)}")
    return TARGETS[name]
