"""Entries of a table of wide integers, by their places.

few elements     Gather, which copies each by itself: 3.5 ns
many             Reshape, GatherElements, Reshape: 0.5 ns each, and 2,000 ns
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.lower.wide import WideBuilder

FEW = 512


def entries_at(build: WideBuilder, table: ir.Value, places: ir.Value, like: ir.Value, step: str) -> ir.Value:
    """The entries in int32 at `places`, which have the shape of `like`; sizes that are not known count as one."""
    sizes = [] if like.shape is None else [size for size in like.shape if isinstance(size, int)]
    if math.prod(sizes) <= FEW:
        return build.emit("Gather", [table, places], like, step, axis=0)
    flat = ir.Value(shape=ir.Shape([None]))
    every = build.ctx.initializer(np.asarray([-1], np.int64), f"{build.place}_{step}_every")
    row = build.emit("Reshape", [places, every], flat, f"{step}_flat")
    found = build.emit("GatherElements", [table, row], flat, f"{step}_found", axis=0)
    return build.emit("Reshape", [found, build.ctx.shape_of(like, places, f"{build.place}_{step}")], like, step)
