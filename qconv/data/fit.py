"""How an array becomes feeds: which rows make a sample, and which types are taken.

For an input of shape (d0, d1, ...), with B = d0 where that is fixed and 1 where it is free, an array of n rows gives

    (n, d1, ...)        n // B samples of B rows; rows that do not fill a batch are left out
    (n, d0, d1, ...)    n samples of one row each
    (d0, d1, ...)       one sample, where axis 0 holds the steps of a sequence
    (d1, ...)           one sample, where B = 1
    ()                  one sample, for a scalar input
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.data.source import InputInfo
from qconv.errors import DataError

_CHANNELS = (1, 3, 4)  # of pictures


@dataclass(frozen=True)
class Cut:
    """`count` feeds of shape `shape`, each made of `rows` consecutive rows (None: of the whole array)."""

    rows: int | None
    shape: tuple[int, ...]
    count: int


def cut(info: InputInfo, shape: tuple[int, ...], where: str) -> Cut:
    """How an array of this shape is cut into feeds. Raises DataError when it does not fit the input."""
    rank, batch = len(info.shape), info.batch
    if len(shape) == rank + 1 and _fits(shape[1:], info.shape):
        return _some(Cut(1, shape[1:], shape[0]), shape[0], info, where)
    if len(shape) == rank and info.whole and _fits(shape, info.shape):
        return Cut(None, shape, 1)
    if len(shape) == rank and rank and _fits(shape[1:], info.shape[1:]):
        return _some(Cut(batch, (batch, *shape[1:]), shape[0] // batch if batch else 0), shape[0], info, where)
    if len(shape) == rank - 1 and batch == 1 and _fits(shape, info.shape[1:]):
        return Cut(None, (1, *shape), 1)
    if shape == () and rank == 0:
        return Cut(None, (), 1)
    hint = _layout_hint(info.shape, shape) or "put the samples on axis 0"
    raise DataError(f"{where} has shape {_text(shape)}, but input {info} needs {_expected(info)}; {hint}")


def check_dtype(info: InputInfo, dtype: np.dtype[Any], where: str) -> None:
    """Raises DataError unless the type is the input's, or becomes it safely: float64 to float32, integers to wider ones."""
    expected = info.dtype
    if dtype == expected or (dtype.kind == "f" and expected.kind == "f"):
        return
    if dtype.kind in "iu" and expected.kind in "iu" and np.can_cast(dtype, expected, "safe"):
        return
    hint = "; normalise the pixels as the model was trained" if dtype == np.uint8 and expected.kind == "f" else "; convert it"
    raise DataError(f"{where} is {dtype}, but input {info.name} takes {expected}{hint}")


def to_feed(info: InputInfo, block: NDArray[Any], shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """A feed of the input's type, contiguous. Raises DataError when it holds NaN or Inf, but for -Inf in a mask."""
    with np.errstate(over="ignore"):
        feed = np.asarray(block, info.dtype, order="C").reshape(shape)
    if feed.dtype.kind == "f" and not np.isfinite(feed).all() and not (info.masks and (feed < np.inf).all()):
        what = "NaN" if np.isnan(feed).any() else "Inf"
        raise DataError(f"sample {where} holds {what} in input {info.name}; remove or mend the sample")
    return feed


def match_names(names: Sequence[str], inputs: Sequence[InputInfo], where: str) -> dict[str, str]:
    """Input name -> array name. A single array serves a single input by any name. Raises DataError."""
    wanted = [info.name for info in inputs]
    if all(name in names for name in wanted):
        return {name: name for name in wanted}
    if len(wanted) == 1 and len(names) == 1:
        return {wanted[0]: names[0]}
    found = ", ".join(names) or "none"
    raise DataError(f"{where} has the arrays {found}, but the model's inputs are {', '.join(wanted)}; name the arrays like them")


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(e is None or s == e for s, e in zip(shape, expected, strict=True))


def _layout_hint(expected: tuple[int | None, ...], shape: tuple[int, ...]) -> str | None:
    """Says so where pictures, one or several, have their channels last and the model wants them first, or the reverse."""
    if len(expected) != 4 or len(shape) not in (3, 4):
        return None
    batch = list(range(len(shape) - 3))
    last = len(shape) - 1
    for own, other, order in (
        ("NHWC", "NCHW", [*batch, last, last - 2, last - 1]),
        ("NCHW", "NHWC", [*batch, last - 1, last, last - 2]),
    ):
        channels = order[-3] if other == "NCHW" else order[-1]
        if shape[channels] in _CHANNELS and _fits(tuple(shape[axis] for axis in order[-3:]), expected[1:]):
            return f"this is {own} and the model takes {other}: transpose with axes {_text(order)}"
    return None


def _some(result: Cut, rows: int, info: InputInfo, where: str) -> Cut:
    if result.count == 0:
        takes = f"takes {info.batch} rows at a time" if info.batch > 1 else "takes at least one"
        raise DataError(f"{where} has {rows} rows, but input {info} {takes}; give more rows")
    return result


def _text(shape: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, shape))})"


def _expected(info: InputInfo) -> str:
    return _text(["n", *("any" if size is None else size for size in info.shape[1:])] if info.shape else [])
