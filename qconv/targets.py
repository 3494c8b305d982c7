"""Where an integer model shall run: what the kernels there can do exactly, in which operators, and what makes them faster."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from qconv.errors import UsageError


class Codes(Enum):
    """The type of activations."""

    UNSIGNED = "uint8"
    SIGNED = "int8"


class WeightScales(Enum):
    """How many scales the weight of a convolution may have."""

    BY_CHANNEL = "one for each output channel"
    FEW = "a few, by which layers fall apart into one convolution for each"


@dataclass(frozen=True)
class Arithmetic:
    """In what kernels differ from exact arithmetic, or from each other.

    `adds_pairs_in_int16` says that a kernel may add products of uint8 and int8 in 16 bits: weights then keep to safe pairs
    (quant/saturation.py), and the second operand of a product of two activations stays unsigned. `adds_in_integers` says that
    QLinearAdd has short multipliers there (quant/neon.py): an Add must be proved for that kernel, as it is for other targets too
    where a scale can be found. `rounds_ties_otherwise` says that runtimes round ties differently, so that no result may lie on
    one; `divides_in_float` that one divides integers in float32, so that a quotient may have no fraction.
    """

    adds_pairs_in_int16: bool = False
    adds_in_integers: bool = False
    rounds_ties_otherwise: bool = False
    divides_in_float: bool = False


class Rules(Enum):
    """Rules that write an operator otherwise than for onnxruntime."""

    STANDARD = "operators of ai.onnx alone, each with one scale for a tensor (lower/standard)"


class Tuning(Enum):
    """What gives the same codes in less time."""

    WIDEN_DEPTHWISE = "depthwise layers get the channels that kernels like (tuning/widen_channels.py)"
    MERGE_GROUPS = "groups of few channels become fewer groups with zero weights (tuning/merge_groups.py)"
    SUMS_AS_PRODUCTS = "sums of rows in int32 become products with ones (lower/wide.py)"
    PRODUCTS_AS_CONVOLUTIONS = "products of rows become convolutions of one place (tuning/products_as_convolutions.py)"
    LIFT_ROWS = "products of rows whose sums stay in int32 read tensors as they are (tuning/lift_rows.py)"
    MERGE_RESHAPES = "Reshapes that do nothing are dropped (tuning/merge_reshapes.py)"
    EXPAND_LATE = "steps by element come before a tensor is expanded (tuning/expand_late.py)"
    SCALARS_OF_COLUMNS = "numbers get the rank of the columns that they meet (tuning/scalars_of_columns.py)"
    CHEAPER_TABLES = "nodes that give the very codes of a table take its place (lower/cheaper.py)"


@dataclass(frozen=True)
class Target:
    """A kind of processor, as runtimes use it: the types of codes, the arithmetic that is proved, the rules and the tuning.

    `all_bits` names the target that has all bits of the weights where this one gives some away, and more processors are right.
    """

    name: str
    title: str
    activation: Codes = Codes.UNSIGNED
    weight: WeightScales = WeightScales.BY_CHANNEL
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    rules: tuple[Rules, ...] = ()
    tuning: tuple[Tuning, ...] = tuple(Tuning)
    all_bits: str | None = None


TARGETS = {
    target.name: target
    for target in (
        Target("x86", "every x86", arithmetic=Arithmetic(adds_pairs_in_int16=True), all_bits="x86-vnni"),
        Target("x86-vnni", "x86 with VNNI, or without AVX2"),
        Target(
            "arm",
            "64-bit ARM and every x86, with int8 activations",
            Codes.SIGNED,
            arithmetic=Arithmetic(adds_in_integers=True),
            tuning=tuple(tuning for tuning in Tuning if tuning is not Tuning.PRODUCTS_AS_CONVOLUTIONS),
        ),
        Target(
            "portable",
            "other runtimes too, in ai.onnx alone",
            weight=WeightScales.FEW,
            arithmetic=Arithmetic(adds_pairs_in_int16=True, rounds_ties_otherwise=True, divides_in_float=True),
            rules=(Rules.STANDARD,),
            tuning=(Tuning.WIDEN_DEPTHWISE,),
        ),
    )
}


def target_of(name: str) -> Target:
    """The target of that name. Raises UsageError where there is none."""
    if name not in TARGETS:
        raise UsageError(f"there is no target {name}; take one of {', '.join(TARGETS)}")
    return TARGETS[name]
