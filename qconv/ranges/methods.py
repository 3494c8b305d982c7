"""The calibration methods by the name that `--method` takes: each turns a tensor's summary and a scheme into a range."""

from __future__ import annotations

from qconv.errors import UsageError
from qconv.ranges.aciq import aciq
from qconv.ranges.auto import CANDIDATES, auto, choose
from qconv.ranges.ema import ema
from qconv.ranges.entropy import entropy
from qconv.ranges.method import Choice, Method
from qconv.ranges.minmax import minmax
from qconv.ranges.mse import mse
from qconv.ranges.percentile import PERCENT, Percentile

METHODS: dict[str, Method] = {
    "aciq": aciq,
    "auto": auto,
    "ema": ema,
    "entropy": entropy,
    "minmax": minmax,
    "mse": mse,
    "percentile": Percentile(PERCENT),
}


def method_named(name: str, percent: float = PERCENT) -> Method:
    """The method; `percent` is what the one of percentiles keeps. Raises UsageError when there is none of that name."""
    if name not in METHODS:
        raise UsageError(f"there is no calibration method {name!r}; choose one of {', '.join(sorted(METHODS))}")
    return Percentile(percent) if name == "percentile" else METHODS[name]


__all__ = ["CANDIDATES", "METHODS", "PERCENT", "Choice", "Method", "choose", "method_named"]
