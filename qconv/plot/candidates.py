"""What each method would choose for a tensor, and which of these holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qconv.quant.types import Scheme
from qconv.ranges.methods import METHODS, Choice, choose
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Range, Summary

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
    """A range under the `name` of what chooses it; `method` is the one that auto took. One of a tensor's is `chosen`."""

    name: str
    method: str
    range: Range
    chosen: bool


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
    return [Candidate(name, choices[name].method, choices[name].range, name == holds) for name in COLOURS if name in choices]


def _applies(name: str, summary: Summary) -> bool:
    return name not in ("auto", "derived") and (name != "ema" or summary.averages is not None)


def chosen(of: Sequence[Candidate]) -> Candidate | None:
    """The one that holds; None for EMA of a tensor without elements."""
    return next((candidate for candidate in of if candidate.chosen), None)
