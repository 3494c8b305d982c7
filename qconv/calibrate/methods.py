"""The calibration methods by the name that `--method` takes."""

from __future__ import annotations

from qconv.calibrate.ema import Ema
from qconv.calibrate.minmax import MinMax
from qconv.calibrate.statistics import Statistic
from qconv.errors import UsageError

METHODS: dict[str, type[Statistic]] = {"ema": Ema, "minmax": MinMax}


def method_named(name: str) -> type[Statistic]:
    """Raises UsageError when there is no such method."""
    if name not in METHODS:
        raise UsageError(f"there is no calibration method {name!r}; choose one of {', '.join(sorted(METHODS))}")
    return METHODS[name]
