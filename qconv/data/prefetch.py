"""Reads the next samples in the background, so that the network does not wait for the decoder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Full, Queue

from qconv.data.source import Sample, SampleSource

_AHEAD = 2
# Small samples travel in parcels: handing one over costs as much as running a network of 20 microseconds on it.
_PARCEL, _PARCEL_BYTES = 32, 1 << 18
_POLL = 0.1  # seconds after which a blocked reader looks whether anyone still wants its samples


def prefetch(source: SampleSource) -> Iterator[Sample]:
    """The samples of `source`, read by one thread up to two parcels ahead; its exceptions are raised here, in their place."""
    queue: Queue[list[Sample] | BaseException | None] = Queue(_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(source, queue, stop), name="qconv-samples", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield from item
    finally:
        stop.set()


def _read(source: SampleSource, queue: Queue[list[Sample] | BaseException | None], stop: threading.Event) -> None:
    end: BaseException | None = None
    parcel: list[Sample] = []
    try:
        for sample in source:
            parcel.append(sample)
            if len(parcel) * sum(array.nbytes for array in sample.feeds.values()) >= _PARCEL_BYTES or len(parcel) == _PARCEL:
                if not _put(queue, parcel, stop):
                    return
                parcel = []
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the one who iterates
        end = error
    if parcel:
        _put(queue, parcel, stop)
    _put(queue, end, stop)


def _put(
    queue: Queue[list[Sample] | BaseException | None], item: list[Sample] | BaseException | None, stop: threading.Event
) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL)
            return True
        except Full:
            continue
    return False
