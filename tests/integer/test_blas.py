"""Matrix products keep to one thread for a while, and have theirs again."""

from __future__ import annotations

import pytest

from qconv.integer.execution import blas
from qconv.integer.execution.blas import on_one_thread


def test_threads_are_given_back() -> None:
    library = blas._openblas()
    if library is None:
        pytest.skip("numpy has no OpenBLAS of its own here")
    before = library.get()
    try:
        library.set(2)
        with on_one_thread():
            assert library.get() == 1
        assert library.get() == 2
    finally:
        library.set(before)


def test_another_blas_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    with on_one_thread():
        ran.append(True)
    assert ran
