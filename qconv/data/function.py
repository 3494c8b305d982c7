"""Samples from `module:function`, a function of the user's that returns an iterable of feeds."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from qconv.data.items import samples_of_item
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError
from qconv.model.session import reason

_SPEC = re.compile(r"(?P<module>[^:]+):(?P<function>[A-Za-z_]\w*)")


class FunctionSource:
    """`module:function` or `file.py:function` as a source; the function is called anew for each pass over the data.

    It yields what qconv/data/items.py takes. Raises DataError when it cannot be imported, fails, or yields something else.
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
        """The function that gives the samples, by its name."""
        return self._spec

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        for item in self._items():
            for sample in samples_of_item(item, self._inputs, f"{self._spec}[{index}]"):
                yield replace(sample, name=f"{self._spec}[{index}]")
                index += 1

    def _items(self) -> Iterator[Any]:
        try:
            items = self._function()
            if not isinstance(items, Iterable):
                raise TypeError(f"it returned {type(items).__name__}, not an iterable")
            yield from items
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise DataError(f"{self._spec} failed ({type(error).__name__}: {reason(error)}); mend the function") from error


def _import(spec: str) -> Callable[[], Any]:
    match = _SPEC.fullmatch(spec)
    assert match is not None
    try:
        function = getattr(_module(match["module"]), match["function"])
    except (Exception, SystemExit) as error:  # the user's module may raise anything
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
