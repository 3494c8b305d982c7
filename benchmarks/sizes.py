"""The size of a model on disk."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from qconv.model.save import file_bytes, files_of


def size_of(path: Path) -> int:
    """The bytes of a model: its file and the files beside it that hold its external data, each once."""
    return file_bytes(files_of(path, ir.load(path)))
