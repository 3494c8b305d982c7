from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from qconv.verify.report.plain import from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    value: float
    name: str | None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    rows: tuple[Inner, ...]
    counts: Mapping[str, int]
    other: Inner | None
    flag: bool


OUTER = Outer(Inner(0.1, "a"), (Inner(math.inf, None), Inner(-math.inf, "b")), {"x": 3}, None, True)


def test_round_trip_through_text() -> None:
    text = json.dumps(to_plain(OUTER), allow_nan=False)
    assert from_plain(Outer, json.loads(text)) == OUTER


def test_infinity_is_null() -> None:
    assert to_plain(Inner(math.inf, "x")) == {"value": None, "name": "x"}


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_plain(Inner(math.nan, "x"))


@pytest.mark.parametrize(
    "damage", [{"inner": 3}, {"rows": 5}, {"flag": "yes"}, {"counts": {"x": "three"}}, {"inner": {"value": "much", "name": None}}]
)
def test_other_types_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_plain(Outer, {**to_plain(OUTER), **damage})


def test_missing_field_is_refused() -> None:
    with pytest.raises(TypeError):
        from_plain(Inner, {"value": 1.0})
