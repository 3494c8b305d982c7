"""Parts of a tensor, made on all processors at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")


def in_threads(make: Callable[[T], None], parts: Iterable[T]) -> None:
    """Calls `make` with each of `parts`, several at a time; a single one is made here. numpy lets other threads run meanwhile."""
    rest = iter(parts)
    first = list(islice(rest, 2))
    if len(first) < 2:
        for part in first:
            make(part)
        return
    for _ in _threads().map(make, chain(first, rest)):
        pass


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "executor")
