"""docs/read_table.py as a module: the reader of the table that has numpy and nothing of qconv."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def _reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_table", DOCS / "read_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READER = _reader()
