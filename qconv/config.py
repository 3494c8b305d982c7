"""Everything a user may choose about quantization, as one value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qconv.arguments import check_fields
from qconv.errors import UsageError
from qconv.quant.grids import DYADIC, POWERS, Grid
from qconv.quant.level_sets import KINDS, Kind
from qconv.quant.pins import Pins
from qconv.quant.pixels import Pixels
from qconv.quant.types import IntType, PerChannel, PerTensor, Scheme
from qconv.targets import Codes, target_of

Io = Literal["float", "int8", "uint8"]
Recovery = Literal["none", "fast", "full"]
Mode = Literal["static", "weight-only", "dynamic"]
MODES: tuple[Mode, ...] = ("static", "weight-only", "dynamic")
Preference = Literal["integer", "speed"]
PREFERENCES: tuple[Preference, ...] = ("integer", "speed")
GROUPS = (16, 32, 64, 128, 256)
WEIGHT_BITS, ACTIVATION_BITS = (2, 8), (2, 8)


@dataclass(frozen=True)
class Rule:
    """What is asked for where one of the globs `match` fits; None leaves what is asked for otherwise.

    For a weight the globs are compared with the name and the op type of its node, for an activation also with the name of the
    tensor, and those of the node that makes it. `keep_float` leaves nodes in float.
    Raises UsageError for a number of bits that there is not.
    """

    match: Sequence[str]
    weight_bits: int | None = None
    activation_bits: int | None = None
    per_tensor: bool | None = None
    method: str | None = None
    keep_float: bool = False
    levels: Kind | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "match", (self.match,) if isinstance(self.match, str) else tuple(self.match))
        _check_bits(self.weight_bits, self.activation_bits)
        _check_levels(self.levels)


@dataclass(frozen=True)
class GivenFile:
    """A file that was given with a flag, encodings or plan, and its digest, so that a repeated run can find and compare it."""

    flag: str
    path: str
    sha256: str


@dataclass(frozen=True)
class QuantConfig:
    """How to quantize.

    `exclude` holds globs of node names or op types that stay in float; one alone may be a string. `io` is the type of the
    model's inputs and outputs. `method` chooses the ranges, by default the one that the calibration names; `percent` is what
    percentile keeps. `target` names the processors that the model shall be exact on, see qconv/targets.py. `effort` says how much
    is done to recover accuracy where there are samples, see qconv/recover. `rules` ask for something else in places; of several
    that fit, the last one counts (qconv/plan/policy.py). `pin` fixes inputs, or free sizes by their names: {"sr": 16000} or
    "sr=16000". With `pixels` and an `io` of uint8 the input takes raw pixels, and their normalisation is computed within. `pow2`
    asks for scales that are powers of two, `dyadic` for multipliers k 2^-n with k of 8 bits and sums of equal scales. `levels`
    says how the values of a weight are spaced (quant/level_sets.py). `pins` are parameters that are given, as by a quantized
    model. `mode` says whether activations have fixed scales, none (weight-only), or those that a run finds (dynamic), see
    qconv/modes; `group` is how many weights share a scale in mode weight-only. `no_tune` leaves every node as
    its rule writes it, without the forms that are only faster (qconv/tuning). To `prefer` speed leaves in float what the op
    table knows to be much slower in integers. `files` are those that decisions came from, for the record only.
    Raises UsageError for a number of bits that there is not, for an unknown target, and for settings that exclude each other.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    per_tensor: bool = False
    exclude: Sequence[str] = ()
    integer_only: bool = False
    io: Io = "float"
    method: str | None = None
    percent: float = 99.99
    target: str = "x86"
    effort: Recovery = "fast"
    rules: Sequence[Rule] = ()
    pow2: bool = False
    dyadic: bool = False
    pin: Sequence[str] = ()
    levels: Kind = "auto"
    pixels: Pixels | None = None
    pins: Pins = field(default=Pins(), compare=False, repr=False)
    mode: Mode = "static"
    group: int = 32
    no_tune: bool = False
    prefer: Preference = "integer"
    files: Sequence[GivenFile] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "exclude", (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude))
        target_of(self.target)
        object.__setattr__(self, "rules", tuple(self.rules))
        given = (f"{name}={_number(value)}" for name, value in self.pin.items()) if isinstance(self.pin, Mapping) else self.pin
        object.__setattr__(self, "pin", tuple(sorted(given)))
        _ = self.fixed
        if self.pixels is not None and self.io != "uint8":
            raise UsageError("raw pixels are codes of uint8; they want an io of uint8")
        _check_bits(self.weight_bits, self.activation_bits)
        _check_levels(self.levels)
        if self.pow2 and self.dyadic:
            raise UsageError("pow2 and dyadic exclude each other: a power of two is a multiplier of one bit")
        if not self.grid.free and self.pins:
            raise UsageError("pow2 and dyadic choose scales, and this model has its own; give a float model")
        if self.effort not in ("none", "fast", "full"):
            raise UsageError(f"effort takes none, fast or full, not {self.effort}")
        if self.prefer not in PREFERENCES:
            raise UsageError(f"prefer takes {PREFERENCES[0]} or {PREFERENCES[1]}, not {self.prefer}")
        if self.prefer == "speed" and self.integer_only:
            raise UsageError("to prefer speed leaves slow layers in float, which integer-only forbids; leave one of them out")
        if self.mode not in MODES:
            raise UsageError(f"mode takes {', '.join(MODES[:-1])} or {MODES[-1]}, not {self.mode}")
        if not self.grid.free and self.mode != MODES[0]:
            raise UsageError(f"pow2 and dyadic want fixed scales, which mode {self.mode} has not; leave one of them out")
        if self.levels not in ("auto", "uniform") and self.mode != MODES[0]:
            raise UsageError(f"levels are of mode {MODES[0]}: mode {self.mode} spaces weights evenly; leave one of them out")
        if self.mode == "dynamic" and self.activation_bits != 8:
            raise UsageError("mode dynamic has activations of 8 bits; give bits of weights alone, with --weight-bits")
        if self.group not in GROUPS:
            raise UsageError(f"group takes {', '.join(map(str, GROUPS[:-1]))} or {GROUPS[-1]}, not {self.group}")
        if self.io not in ("float", "int8", "uint8"):
            raise UsageError(f"io takes float, int8 or uint8, not {self.io}")

    @property
    def grid(self) -> Grid:
        """What scales and multipliers may be."""
        return POWERS if self.pow2 else DYADIC if self.dyadic else Grid.FREE

    @property
    def activation(self) -> Scheme:
        """The scheme of activations where no rule fits: affine; unsigned or signed, as kernels of the target like it."""
        return self.activation_of(self.activation_bits)

    @property
    def fixed(self) -> dict[str, float]:
        """The value of each input, or free size, that is pinned. Raises UsageError for what is no NAME=VALUE."""
        found = {}
        for text in self.pin:
            name, equals, value = text.rpartition("=")
            try:
                found[name] = float(value)
            except ValueError:
                equals = ""
            if not name or not equals or not math.isfinite(found[name]):
                raise UsageError(f"a pin is written NAME=VALUE, with a number, not {text!r}")
        return found

    @property
    def excluded(self) -> tuple[str, ...]:
        """All patterns of nodes that stay in float."""
        return (*self.exclude, *(pattern for rule in self.rules if rule.keep_float for pattern in rule.match))

    def activation_of(self, bits: int) -> Scheme:
        """The scheme of an activation of so many bits."""
        return Scheme(IntType(bits, target_of(self.target).activation is Codes.SIGNED), scale_bits=self.grid.scale_bits)

    def weight_of(self, bits: int, axis: int | None, *, per_tensor: bool) -> Scheme:
        """The scheme of a weight: signed, symmetric, without the lowest code; per channel along `axis` unless `per_tensor`."""
        granularity = PerTensor() if per_tensor or axis is None else PerChannel(axis)
        return Scheme(IntType(bits, signed=True, narrow=True), True, granularity, self.grid.scale_bits)


def _check_levels(levels: str | None) -> None:
    if levels is not None and levels not in KINDS:
        raise UsageError(f"--levels takes {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {levels}")


def _check_bits(weight: int | None, activation: int | None) -> None:
    for what, bits, (least, most) in (("weight", weight, WEIGHT_BITS), ("activation", activation, ACTIVATION_BITS)):
        if bits is not None and not least <= bits <= most:
            raise UsageError(f"{what} bits take {least} to {most}, not {bits}")


def _number(value: object) -> str:
    """A number as pins write it; anything else as it is, to be refused with the pin."""
    return f"{float(value):g}" if isinstance(value, numbers.Real) else str(value)
