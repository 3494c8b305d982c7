"""Long lists of numbers in metadata as text of a third of the length: a kind, a colon, and the bytes in base64.

f4      float32
i1      one byte, signed
m3      mantissas m0 of float32 numbers, whose lowest 7 bits are zero, as 3 bytes of m0 / 128
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

_LONG = 8
_SHIFT = 7


def packed(numbers: Any, kind: str) -> Any:
    """A list of more than eight numbers as text, anything else as it is."""
    if not isinstance(numbers, Sequence) or len(numbers) <= _LONG or not _fits(numbers, kind):
        return numbers
    if kind == "m3":
        data = (np.asarray(numbers, np.int64) >> _SHIFT).astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = np.asarray(numbers, f"<{kind}").tobytes()
    return f"{kind}:{base64.b64encode(data).decode()}"


def unpacked(entry: Any) -> Any:
    """The inverse of `packed`. Raises ValueError for other text."""
    if not isinstance(entry, str):
        return entry
    kind, _, text = entry.partition(":")
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if kind == "m3":
        return (np.pad(data.reshape(-1, 3), [(0, 0), (0, 1)]).view("<u4").reshape(-1).astype(np.int64) << _SHIFT).tolist()
    if kind not in ("f4", "i1"):
        raise ValueError(f"numbers are packed as {kind!r}, which is unknown")
    return np.frombuffer(data.tobytes(), f"<{kind}").tolist()


def _fits(numbers: Sequence[Any], kind: str) -> bool:
    values = np.asarray(numbers)
    if kind == "m3":
        return bool((values % (1 << _SHIFT) == 0).all() and (values >= 0).all() and (values < 1 << 31).all())
    return kind != "i1" or bool((np.abs(values) < 128).all())
