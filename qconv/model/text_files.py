"""Files that a person gives, of text for the most part: read whole, and never waited for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a regular file. Raises OSError as `read_regular` does, and UnicodeDecodeError."""
    return io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8").read()


def read_regular(path: str | Path) -> bytes:
    """The bytes of a regular file. Raises OSError, also for a pipe, which would be waited for."""
    if Path(path).exists() and not Path(path).is_file():
        raise OSError("it is a folder, a pipe or a device")
    return Path(path).read_bytes()


def read_json(path: str | Path) -> Any:
    """The data in a JSON file. Raises OSError as `read_text` does, and ValueError for anything else that is wrong with it."""
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """The data in a JSON text. Raises ValueError, also where it is nested too deeply for Python."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
