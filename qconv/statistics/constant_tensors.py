"""Tensors that never move."""

from __future__ import annotations

from collections.abc import Mapping

_LISTED = 3


def constant_tensors(extremes: Mapping[str, tuple[float, float]]) -> list[str]:
    """A sentence on the tensors of which `extremes` over all samples tell that they had one value only."""
    still = [f"{name} (always {lo:g})" for name, (lo, hi) in extremes.items() if lo == hi]
    if not still:
        return []
    more = f" and {len(still) - _LISTED} more" if len(still) > _LISTED else ""
    verb = "never move" if len(still) > 1 else "never moves"
    return [f"{', '.join(still[:_LISTED])}{more} {verb}: the samples do not reach that part of the model, or it is dead"]
