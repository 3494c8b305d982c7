from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from qconv.calibrate.data.ahead import ahead


def test_order_is_kept_though_later_items_are_ready_first() -> None:
    def slow_at_even(item: int) -> int:
        time.sleep(0.01 * (item % 2 == 0))
        return item

    assert list(ahead(slow_at_even, range(40))) == list(range(40))


def counting(begun: list[int]) -> Callable[[int], int]:
    def count(item: int) -> int:
        begun.append(item)
        return item

    return count


def test_never_far_ahead() -> None:
    begun: list[int] = []
    results = ahead(counting(begun), range(1000))
    assert next(results) == 0
    time.sleep(0.1)
    assert len(begun) <= 8  # of four threads


def test_errors_come_in_their_place() -> None:
    def fail_at_5(item: int) -> int:
        if item == 5:
            raise ValueError("the sixth")
        return item

    results = ahead(fail_at_5, range(40))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="the sixth"):
        next(results)


def test_an_abandoned_reader_ends_its_threads() -> None:
    begun: list[int] = []
    results = ahead(counting(begun), range(1000))
    next(results)
    results.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while working() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not working() and len(begun) <= 8


def working() -> bool:
    return any(thread.name.startswith("qconv-ahead") for thread in threading.enumerate())


def test_several_threads_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    meeting = threading.Barrier(4, timeout=20)  # seconds; it breaks unless four threads come
    assert sorted(ahead(lambda _: meeting.wait(), range(8))) == [0, 0, 1, 1, 2, 2, 3, 3]
