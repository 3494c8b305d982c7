"""The order in which people expect tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def in_order(names: Iterable[str], order: Sequence[str] = ()) -> list[str]:
    """Names as in `order`; those it does not name last, sorted with numbers as numbers: conv2 before conv10."""
    known = {name: position for position, name in enumerate(order)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), _parts(name), name))


def _parts(name: str) -> list[tuple[int, str]]:
    """Text and numbers in turn, as pairs that compare."""
    pieces = re.split(r"([0-9]{1,18})", name)
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)]
