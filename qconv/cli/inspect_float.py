"""A model that qconv did not make: its borders, its operators, and what would become of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def inspect_float(model: Path) -> None:
    """Prints what a model is and what `qconv quantize` would make of it. Raises ModelError."""
    from qconv import pipeline
    from qconv.cli.console import out, size, warn
    from qconv.sentences import counted

    found = pipeline.outlook(model)
    kind = "was quantized by another tool; its scales and codes are kept" if found.quantized else "is a float model"
    ops = ", ".join(f"{count} {op}" for op, count in found.ops.items())
    out.print(f"{model}, {size(model.stat().st_size)}, {kind}")
    for what, values in (("input", found.inputs), ("output", found.outputs)):
        for value in values:
            out.print(f"{what} {value.name}: {_type(value)}")
    out.print(f"{counted(sum(found.ops.values()), 'node')} ({ops})")
    becomes, stays = (
        word if count == 1 else word.removesuffix("s")
        for word, count in (("becomes", found.integer), ("stays", len(found.in_float)))
    )
    out.print(f"simplified, {counted(found.integer, 'node')} {becomes} integer, {len(found.in_float)} {stays} in float")
    for node, reason in found.in_float.items():
        out.print(f"  {node}: {reason}")
    for warning in found.warnings:
        warn(warning)
    out.print(f"next: qconv calibrate {model} --data DATA")


def _type(value: ir.Value) -> str:
    """The element type and the sizes, as `float32 [N, 1, 28, 28]`; sizes without a name are question marks."""
    dtype = "unknown type" if value.dtype is None else str(value.dtype.numpy())
    if value.shape is None:
        return f"{dtype}, unknown shape"
    sizes = (str(size) if isinstance(size, int) else size.value or "?" for size in value.shape)
    return f"{dtype} [{', '.join(sizes)}]"
