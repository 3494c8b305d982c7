"""Frozen dataclasses to plain JSON data and back, by their annotations.

Numbers that JSON lacks are written as null: +inf, the SQNR of equal tensors, is read back as such. -inf is written as the
lowest float64, and NaN is an error.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as what `json.dumps` takes; raises ValueError for a NaN."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise ValueError("a report holds no NaN")
        return None if value > 0 else -sys.float_info.max
    return value


def from_plain(kind: type[T], data: Any) -> T:
    """The dataclass `kind` from what `to_plain` made of it; fields with a default may be missing.

    Raises KeyError or TypeError for other data.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{kind.__name__} is a table, not {data!r}")
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: _read(hints[name], data[name]) for name in names if name in data})


def _read(hint: Any, data: Any) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return None if data is None else _read(next(a for a in arguments if a is not types.NoneType), data)
    if get_origin(hint) is tuple:
        return tuple(_read(arguments[0], item) for item in data)
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return {key: _read(arguments[1], item) for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, data)  # type: ignore[arg-type]
    if hint is float:
        return _float(data)
    if not isinstance(data, hint):
        raise TypeError(f"{data!r} is not of type {hint.__name__}")
    return data


def _float(data: Any) -> float:
    if data is None:
        return math.inf
    return -math.inf if data == -sys.float_info.max else float(data)
