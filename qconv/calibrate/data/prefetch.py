"""Reads the next samples in the background, so that the network does not wait for the decoder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Full, Queue

from qconv.calibrate.data.source import Sample, SampleSource

_AHEAD = 2
_POLL = 0.1  # seconds after which a blocked reader looks whether anyone still wants its samples


def prefetch(source: SampleSource) -> Iterator[Sample]:
    """The samples of `source`, read by one thread up to two ahead; its exceptions are raised here, in their place."""
    queue: Queue[Sample | BaseException | None] = Queue(_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(source, queue, stop), name="qconv-samples", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()


def _read(source: SampleSource, queue: Queue[Sample | BaseException | None], stop: threading.Event) -> None:
    end: BaseException | None = None
    try:
        for sample in source:
            if not _put(queue, sample, stop):
                return
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the one who iterates
        end = error
    _put(queue, end, stop)


def _put(queue: Queue[Sample | BaseException | None], item: Sample | BaseException | None, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL)
            return True
        except Full:
            continue
    return False
