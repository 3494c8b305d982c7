from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from qconv.data.prefetch import prefetch
from qconv.data.source import Sample


class Slow:
    """Samples that are counted when they are read, and an error in the end."""

    description = "slow"
    warning: str | None = None

    def __init__(self, count: int, error: BaseException | None = None, size: int = 1) -> None:
        self._count, self._error, self._size, self.read = count, error, size, 0
        self.threads: set[str] = set()

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self._count):
            self.read += 1
            self.threads.add(threading.current_thread().name)
            yield Sample({"x": np.zeros(self._size)}, None, str(index))
        if self._error is not None:
            raise self._error


def test_order_is_kept_and_reading_is_elsewhere() -> None:
    source = Slow(20)
    assert [sample.name for sample in prefetch(source)] == [str(i) for i in range(20)]
    assert source.threads == {"qconv-samples"}


def test_never_far_ahead() -> None:
    source = Slow(100, size=1 << 15)  # 256 kB each: a parcel of its own
    samples = prefetch(source)
    next(samples)
    time.sleep(0.2)
    assert source.read <= 4  # the one taken, two queued, one in hand
    samples.close()  # type: ignore[attr-defined]


def test_small_samples_travel_in_parcels() -> None:
    source = Slow(1000)
    samples = prefetch(source)
    next(samples)
    time.sleep(0.2)
    assert source.read <= 4 * 32
    assert len(list(samples)) == 999


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_exceptions_come_out_in_their_place(error: BaseException) -> None:
    samples = prefetch(Slow(2, error))
    assert [next(samples).name, next(samples).name] == ["0", "1"]
    with pytest.raises(type(error)):
        next(samples)


def test_an_abandoned_reader_ends() -> None:
    before = threading.active_count()
    samples = prefetch(Slow(100))
    next(samples)
    samples.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before
