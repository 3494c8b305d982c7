"""Samples that a program has at hand: arrays, mappings, lists, generators, loaders of data sets, functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qconv.data.items import samples_of_item
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError


class GivenSource:
    """Anything that holds samples, as a source; what one item may be is in qconv/data/items.py.

    An array or a mapping of arrays holds all samples. Other iterables yield an item after the other; one that can be gone through
    only once, as a generator, is kept in memory as far as it was asked for. A function is called anew for each pass.
    Raises DataError where an item does not fit the inputs.
    """

    warning: str | None = None

    def __init__(self, data: Any, inputs: Sequence[InputInfo]) -> None:
        self._inputs = tuple(inputs)
        whole = isinstance(data, Mapping) or hasattr(data, "shape")
        self._items: Callable[[], Iterable[Any]]
        if whole:
            self._items = lambda: [data]
        elif isinstance(data, Iterator):
            self._items = _Remembered(data)
        elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
            self._items = lambda: data
        elif callable(data):
            self._items = lambda: _called(data)
        else:
            raise DataError(
                f"samples cannot be taken from {type(data).__name__}; give arrays, a list or a generator of them, or a path"
            )
        self.description = "samples from Python"

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        for number, item in enumerate(self._items()):
            for sample in samples_of_item(item, self._inputs, f"item {number} of the samples"):
                yield replace(sample, name=f"sample[{index}]")
                index += 1


def _called(function: Callable[[], Any]) -> Iterable[Any]:
    items = function()
    if not isinstance(items, Iterable):
        raise DataError(f"the function of the samples gives {type(items).__name__}, and has to give an iterable of them")
    return items


class _Remembered:
    """What an iterator yielded so far, and then the rest of it; several passes may be under way at once."""

    def __init__(self, rest: Iterator[Any]) -> None:
        self._rest, self._kept, self._lock = rest, list[Any](), threading.Lock()

    def __call__(self) -> Iterator[Any]:
        index = 0
        while True:
            with self._lock:
                if index == len(self._kept):
                    try:
                        self._kept.append(next(self._rest))
                    except StopIteration:
                        return
            yield self._kept[index]
            index += 1
