"""Calibration + method -> a range for every tensor."""

from __future__ import annotations

from collections.abc import Callable, Collection

from qconv.errors import ArtifactError
from qconv.quant.types import Scheme
from qconv.ranges.methods import METHODS, PERCENT, Choice, choose, method_named
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Range


def choice_of(
    calibration: Calibration, scheme: Scheme, method: str | None = None, percent: float = PERCENT, keep: Collection[str] = ()
) -> Callable[[str], Choice | None]:
    """What a method chooses for a tensor; None for one that was not observed.

    `method` defaults to that of the calibration; auto leaves the tensors named in `keep` their extremes. Raises UsageError
    when there is no such method, ArtifactError when the calibration lacks what it needs or names a method that is not known.
    """
    if method is None and calibration.method not in METHODS:
        raise ArtifactError(
            f"the calibration names the method {calibration.method!r}, which is not known here; run `qconv calibrate` again"
        )
    name = method or calibration.method
    decide = method_named(name, percent)

    def choice(tensor: str) -> Choice | None:
        if tensor in calibration.derived:
            return Choice("derived", calibration.derived[tensor])
        if tensor not in calibration.tensors:
            return None
        summary = calibration.tensors[tensor]
        if name != "auto":
            return Choice(name, decide(summary, scheme))
        return Choice("minmax", (summary.lo, summary.hi)) if tensor in keep else choose(summary, scheme)

    return choice


def range_of(
    calibration: Calibration, scheme: Scheme, method: str | None = None, percent: float = PERCENT, keep: Collection[str] = ()
) -> Callable[[str], Range | None]:
    """The ranges of `choice_of`, as planning asks for them."""
    choice = choice_of(calibration, scheme, method, percent, keep)
    return lambda tensor: None if (found := choice(tensor)) is None else found.range
