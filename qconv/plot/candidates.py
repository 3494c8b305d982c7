"""What each method would choose for a tensor, and which of these holds."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qconv.quant.types import IntType, Scheme
from qconv.ranges.methods import METHODS, Choice, choose
from qconv.ranges.quantization_error import mean_squared_errors
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Range, Summary

WEIGHTS = Scheme(IntType(8, signed=True, narrow=True), symmetric=True)

# The palette of Okabe and Ito, which is told apart with any colour vision; wine for its yellow, which is faint on white. In
# the order of drawing.
COLOURS = {
    "minmax": "#000000",
    "percentile": "#0072B2",
    "entropy": "#E69F00",
    "mse": "#009E73",
    "aciq": "#CC79A7",
    "ema": "#56B4E9",
    "auto": "#D55E00",
    "derived": "#882255",
}


@dataclass(frozen=True)
class Candidate:
    """A range under the `name` of what chooses it; `method` is the one that auto took. One of a tensor's is `chosen`.

    `sqnr_db` is what the tensor keeps with it, rounding and clipping together; None where there is nothing to lose.
    """

    name: str
    method: str
    range: Range
    chosen: bool
    sqnr_db: float | None = None


def candidates(calibration: Calibration, tensor: str, scheme: Scheme, keep: Collection[str] = ()) -> list[Candidate]:
    """One for each method, and one for the range that holds without real samples; EMA only where averages were kept.

    Method auto leaves the tensors named in `keep` their extremes.
    """
    summary, derived = calibration.tensors[tensor], calibration.derived.get(tensor)
    choices = {name: Choice(name, METHODS[name](summary, scheme)) for name in COLOURS if _applies(name, summary)}
    choices["auto"] = Choice("minmax", (summary.lo, summary.hi)) if tensor in keep else choose(summary, scheme)
    if derived is not None:
        choices["derived"] = Choice("derived", derived)
    holds = calibration.method if derived is None else "derived"
    return with_costs(
        [Candidate(name, choices[name].method, choices[name].range, name == holds) for name in COLOURS if name in choices],
        summary,
        scheme,
    )


def with_costs(of: Sequence[Candidate], summary: Summary, scheme: Scheme) -> list[Candidate]:
    """The same, each with the SQNR that its range leaves the tensor."""
    power = summary.variance + summary.mean**2
    ends = np.array([candidate.range for candidate in of], np.float64).reshape(-1, 2)
    errors = mean_squared_errors(summary, ends[:, 0], ends[:, 1], scheme)
    return [
        replace(candidate, sqnr_db=10.0 * math.log10(power / error) if error > 0 and power > 0 else None)
        for candidate, error in zip(of, errors, strict=True)
    ]


def weight_candidates(weight: Summary) -> list[Candidate]:
    """The range of a weight: symmetric, up to its largest element."""
    most = max(-weight.lo, weight.hi)
    return with_costs([Candidate("minmax", "minmax", (-most, most), True)], weight, WEIGHTS)


def _applies(name: str, summary: Summary) -> bool:
    return name not in ("auto", "derived") and (name != "ema" or summary.averages is not None)


def chosen(of: Sequence[Candidate]) -> Candidate | None:
    """The one that holds; None for EMA of a tensor without elements."""
    return next((candidate for candidate in of if candidate.chosen), None)
