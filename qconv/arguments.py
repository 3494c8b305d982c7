"""Arguments of public functions are checked against the signature, so that a mistake is one sentence and no traceback."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from functools import wraps
from inspect import signature
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from qconv.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ALIKE = {int: numbers.Integral, float: numbers.Real}  # those of numpy too


def checks_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, which raises UsageError for an argument that is of none of the types of its signature.

    What containers hold is not looked at.
    """
    parameters = signature(function)

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        types = get_type_hints(function)
        for name, value in parameters.bind(*args, **kwargs).arguments.items():
            if name in types:
                _check(value, types[name], f"{name} of {function.__name__}")
        return function(*args, **kwargs)

    return checked


def check_fields(instance: DataclassInstance) -> None:
    """Raises UsageError for a field that is of none of its types; a sequence may be any iterable, whose items are looked at."""
    types = get_type_hints(type(instance))
    for field in fields(instance):
        hint, value = types[field.name], getattr(instance, field.name)
        where = f"{field.name} of {type(instance).__name__}"
        if get_origin(hint) is not Sequence:
            _check(value, hint, where)
            continue
        (item,) = get_args(hint)
        if isinstance(value, str):
            _check(value, item, where)
            continue
        _check(value, Iterable, where)
        for part in value if isinstance(value, Collection) else ():
            _check(part, item, f"an item of {where}")


def _check(value: object, hint: Any, where: str) -> None:
    kinds = _kinds(hint)
    if not any(_is_a(value, kind) for kind in kinds):
        raise UsageError(
            f"{where} is {'None' if value is None else f'of type {type(value).__name__}'}; "
            f"give {' or '.join(dict.fromkeys(map(_word, kinds)))}"
        )


def _kinds(hint: Any) -> list[Any]:
    """The classes of a hint; those of its parts where it is a union, and of its words where it has some."""
    if get_origin(hint) in (Union, UnionType):
        return [kind for part in get_args(hint) for kind in _kinds(part)]
    if get_origin(hint) is Literal:
        return [type(word) for word in get_args(hint)]
    return [get_origin(hint) or hint]


def _is_a(value: object, kind: Any) -> bool:
    if kind is Callable:
        return callable(value)
    if isinstance(value, bool) and kind in _ALIKE:
        return False
    return isinstance(value, _ALIKE.get(kind, kind))


def _word(kind: Any) -> str:
    return "None" if kind is NoneType else "a function" if kind is Callable else str(kind.__name__)
