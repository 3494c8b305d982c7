"""Words of C: comments, types and numbers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from qconv.export.c.writer import C_TYPES
from qconv.export.network import Tensor

_PER_LINE = 20


def comment(text: str) -> str:
    """Returns the text without what would end or start a comment."""
    return (
        "".join(sign if sign.isprintable() and ord(sign) < 128 else "?" for sign in text)
        .replace("*/", "* /")
        .replace("/*", "/ *")
    )


def c_type(tensor: Tensor) -> str:
    """Returns what C calls the type of a tensor."""
    return C_TYPES[str(tensor.dtype)]


def rows(data: NDArray[Any], kind: str) -> list[str]:
    """Returns the numbers of an array as lines of C, some on each line."""
    flat = data.reshape(-1)
    text = [_literal(int(value), kind) for value in flat] or ["0"]
    return ["    " + ", ".join(text[start : start + _PER_LINE]) + "," for start in range(0, len(text), _PER_LINE)]


def _literal(value: int, kind: str) -> str:
    if kind == "uint32":
        return f"{value}u"
    if kind == "uint64":
        return f"UINT64_C({value})"
    if kind == "int64":
        return f"INT64_C({value})" if value > -(2**63) else "INT64_MIN"
    return f"(-{2**31 - 1} - 1)" if value == -(2**31) else str(value)
