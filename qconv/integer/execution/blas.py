"""Matrix products on this thread alone: the threads of OpenBLAS wait by spinning, and where others use the cores too, a product
that they share takes many times the time of one processor.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Keeps numpy's matrix products to the calling thread meanwhile; where numpy has another BLAS, nothing changes."""
    library = _openblas()
    before = None if library is None else library.get()
    if library is not None:
        library.set(1)
    try:
        yield
    finally:
        if library is not None and before is not None:
            library.set(before)


class _OpenBlas:
    """How many threads the OpenBLAS of numpy's wheel uses."""

    def __init__(self, library: ctypes.CDLL, names: str) -> None:
        self._get, self._set = (getattr(library, names.format(verb)) for verb in ("get", "set"))

    def get(self) -> int:
        """The number of threads."""
        return int(self._get())

    def set(self, threads: int) -> None:
        """Sets the number of threads."""
        self._set(ctypes.c_int(threads))


@cache
def _openblas() -> _OpenBlas | None:
    """The library that numpy has loaded from its wheel; None where there is none."""
    for path in sorted((Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for names in _NAMES:
            if hasattr(library, names.format("set")):
                return _OpenBlas(library, names)
    return None
