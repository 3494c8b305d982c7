"""Tensors that never move."""

from __future__ import annotations

from collections.abc import Mapping

from qconv.sentences import some_of

_LISTED = 3


def constant_tensors(extremes: Mapping[str, tuple[float, float]]) -> list[str]:
    """A sentence on the tensors of which `extremes` over all samples tell that they had one value only."""
    still = [f"{name} (always {lo:g})" for name, (lo, hi) in extremes.items() if lo == hi]
    if not still:
        return []
    verb = "never move" if len(still) > 1 else "never moves"
    return [f"{some_of(still, _LISTED)} {verb}: the samples do not reach that part of the model, or it is dead"]
