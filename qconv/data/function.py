"""Samples from `module:function`, a function of the user's that returns an iterable of feeds."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.data.fit import check_dtype, cut, match_names, to_feed
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError
from qconv.model.session import reason

_SPEC = re.compile(r"(?P<module>[^:]+):(?P<function>[A-Za-z_]\w*)")


class FunctionSource:
    """`module:function` or `file.py:function` as a source; the function is called anew for each pass over the data.

    It yields mappings from input name to array, or bare arrays for a model of one input; an array may hold several samples
    (qconv/data/fit.py). Raises DataError when it cannot be imported, fails, or yields something else.
    """

    warning: str | None = None

    def __init__(self, spec: str, inputs: Sequence[InputInfo]) -> None:
        self._spec, self._inputs = spec, tuple(inputs)
        self._function = _import(spec)

    @staticmethod
    def understands(spec: str) -> bool:
        """Whether a --data argument has the form module:function."""
        return _SPEC.fullmatch(spec) is not None

    @property
    def description(self) -> str:
        """The function."""
        return self._spec

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        for item in self._items():
            for feeds in self._feeds(item, f"{self._spec}[{index}]"):
                yield Sample(feeds, None, f"{self._spec}[{index}]")
                index += 1

    def _items(self) -> Iterator[Any]:
        try:
            items = self._function()
            if not isinstance(items, Iterable):
                raise TypeError(f"it returned {type(items).__name__}, not an iterable")
            yield from items
        except Exception as error:  # the user's code may raise anything
            raise DataError(f"{self._spec} failed ({type(error).__name__}: {reason(error)}); mend the function") from error

    def _feeds(self, item: Any, where: str) -> Iterator[dict[str, NDArray[Any]]]:
        arrays = (
            {str(key): np.asarray(value) for key, value in item.items()} if isinstance(item, Mapping) else {"": np.asarray(item)}
        )
        names = match_names(list(arrays), self._inputs, where)
        cuts = {}
        for info in self._inputs:
            array = arrays[names[info.name]]
            check_dtype(info, array.dtype, f"{info.name} of {where}")
            cuts[info.name] = cut(info, array.shape, f"{info.name} of {where}")
        if len({made.count for made in cuts.values()}) != 1:
            raise DataError(f"the arrays of {where} disagree on the number of samples; make them equal")
        for index in range(next(iter(cuts.values())).count):
            feeds = {}
            for info in self._inputs:
                made, array = cuts[info.name], arrays[names[info.name]]
                block = array if made.rows is None else array[index * made.rows : (index + 1) * made.rows]
                feeds[info.name] = to_feed(info, block, made.shape, where)
            yield feeds


def _import(spec: str) -> Callable[[], Any]:
    match = _SPEC.fullmatch(spec)
    assert match is not None
    try:
        function = getattr(_module(match["module"]), match["function"])
    except Exception as error:  # the user's module may raise anything
        raise DataError(
            f"{spec} cannot be imported ({type(error).__name__}: {reason(error)}); run where its module is"
        ) from error
    if not callable(function):
        raise DataError(f"{spec} is not a function; name one that returns an iterable of feeds")
    return function  # type: ignore[no-any-return]


def _module(name: str) -> ModuleType:
    """A module by name, looked for in the working folder first, or by the path of its file."""
    if not name.endswith(".py"):
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(name)
    found = importlib.util.spec_from_file_location(Path(name).stem, name)
    if found is None or found.loader is None:
        raise ImportError(f"{name} is not a Python file")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
