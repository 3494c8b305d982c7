from __future__ import annotations

import pytest

from qconv.errors import ArtifactError, UsageError
from qconv.quant.types import UINT8, Scheme
from qconv.ranges.methods import METHODS, method_named
from tests.statistics.strategies import summary


def test_names() -> None:
    assert list(METHODS) == sorted(METHODS)
    assert method_named("mse") is METHODS["mse"]
    assert method_named("percentile", 99.0) != METHODS["percentile"]


def test_unknown_method_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"'median'; choose one of .*minmax"):
        method_named("median")


def test_ema_needs_averages() -> None:
    with pytest.raises(ArtifactError, match="calibrate --method ema"):
        METHODS["ema"](summary(), Scheme(UINT8))
