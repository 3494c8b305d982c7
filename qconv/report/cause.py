"""Which layers lose most by themselves, and what their codes tell of the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qconv.verify.layers.reports import LayerReport
from qconv.verify.report.report import Report

_FINE_DB = 30.0
_NAMED = 3
_CUT = 0.005  # of the elements at the greatest code, more than a range that holds them all leaves there
_FEW = 64  # codes in use, a quarter of them


@dataclass(frozen=True)
class Cause:
    """A layer, and a sentence about what it loses and why. `narrow` where its range cuts values off."""

    node: str
    text: str
    narrow: bool = False


def causes(report: Report) -> Iterator[Cause]:
    """The layers that lose most by themselves, the worst first; none where no layer loses much."""
    lossy = [(layer.own.sqnr_db, layer) for layer in report.layers if layer.own is not None and layer.own.sqnr_db < _FINE_DB]
    for sqnr_db, layer in sorted(lossy, key=lambda pair: pair[0])[:_NAMED]:
        narrow = layer.codes.at_highest > _CUT
        yield Cause(layer.node, f"keeps {sqnr_db:.1f} dB by itself: {_why(layer, narrow=narrow)}", narrow)


def _why(layer: LayerReport, *, narrow: bool) -> str:
    codes = layer.codes
    if narrow:
        return f"{100 * codes.at_highest:.1f} % of its elements lie at the greatest code, so that its range cuts values off."
    if codes.used < _FEW:
        return (
            f"its elements take {codes.used} of 256 codes, so that its range is wide for them; a few large ones may stretch it."
        )
    return "its codes are well spread, so that the loss comes from its weights or from the codes that it reads."
