"""The calibration methods by the name that `--method` takes: each turns a tensor's summary and a scheme into a range."""

from __future__ import annotations

from qconv.calibrate.methods.aciq import aciq
from qconv.calibrate.methods.auto import CANDIDATES, auto, choose
from qconv.calibrate.methods.ema import ema
from qconv.calibrate.methods.entropy import entropy
from qconv.calibrate.methods.method import Choice, Method, Range
from qconv.calibrate.methods.minmax import minmax
from qconv.calibrate.methods.mse import mse
from qconv.calibrate.methods.percentile import PERCENT, Percentile
from qconv.errors import UsageError

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


__all__ = ["CANDIDATES", "METHODS", "PERCENT", "Choice", "Method", "Range", "choose", "method_named"]
