from __future__ import annotations

import pytest

from qconv.calibrate.methods import METHODS, method_named
from qconv.errors import UsageError


def test_names() -> None:
    assert sorted(METHODS) == ["ema", "minmax"]
    assert method_named("ema") is METHODS["ema"]


def test_unknown_method_lists_the_known() -> None:
    with pytest.raises(UsageError, match="'median'; choose one of ema, minmax"):
        method_named("median")
