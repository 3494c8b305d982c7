"""Calls a function on many items, a few ahead of the one who asks, by several threads; the results come in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 4  # threads; each may hold a decoded photograph of 100 MB


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """function(item) for all items, in order; what it raises comes in its place. At most 8 are computed beforehand.

    Serves functions that spend their time outside of the interpreter's lock, as decoders do.
    """
    threads = min(_MOST, os.cpu_count() or 1)
    remaining = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="qconv-ahead")
    try:
        pending: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(remaining, 2 * threads))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
