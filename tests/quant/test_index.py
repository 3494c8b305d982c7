"""Tables of a function over wide integers: every integer has an entry, and one near it in value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.quant.index import Doubles, Stretch, middles, stretches

_FUNCTIONS: dict[str, Callable[[Doubles], Doubles]] = {
    "logarithm": lambda u: 20.0 * np.log(np.maximum(u, 0.5)),
    "wave": lambda u: 100.0 * np.cos(u / 50.0),
    "line": lambda u: u / 1000.0,
    "constant": lambda u: u * 0.0,
}


def entries_of(found: list[Stretch], u: Doubles) -> NDArray[np.int64]:
    """The formula of the module."""
    parts = [(np.clip(u, s.first, s.end).astype(np.int64) - s.first) >> s.shift for s in found]
    return np.asarray(np.sum(parts, axis=0), np.int64)


@pytest.mark.parametrize("most", [1, 63, 64, 1000, 32767, 65535])
@pytest.mark.parametrize("name", _FUNCTIONS)
def test_every_integer_finds_an_entry_nearby(name: str, most: int) -> None:
    function = _FUNCTIONS[name]
    found = stretches(function, most)
    centres, u = middles(found), np.arange(most + 1.0)
    entries = entries_of(found, u)
    assert len(centres) <= 1 << 16
    assert entries.min() >= 0 and entries.max() < len(centres)
    assert (np.diff(entries) >= 0).all()
    assert np.abs(function(centres[entries]) - function(u)).max() <= 1.0


def test_a_long_table_gives_up_closeness_and_not_room() -> None:
    found = stretches(lambda u: np.cos(u) * 1e6, (1 << 30) - 1)
    assert len(middles(found)) <= 1 << 16
