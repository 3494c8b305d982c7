"""Pieces of sentences that several parts of qconv say."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """A number of things, one or several."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def some_of(names: Sequence[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
