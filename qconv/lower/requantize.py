"""The same reals under another scale and zero point."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.affine import certified_affine
from qconv.lower.builder import MS, Builder
from qconv.lower.values import Codes
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.grids import Grid
from qconv.quant.types import QuantParams


def requantize(build: Builder, codes: Codes, params: QuantParams, name: str, grid: Grid = Grid.FREE) -> Codes:
    """The same reals under other parameters: a QLinearConcat of one input."""
    scale, certificate = certified_affine(codes.params, params, grid)
    node_name = f"{build.source}/requantize"
    if build.names.has_node(node_name):  # another operand of the same node
        node_name = f"{node_name}/{name}"
    wish = f"{name}_requantized"
    value, scalar = codes.value, codes.value.shape is not None and len(codes.value.shape) == 0
    like = ir.Value(shape=ir.Shape([1])) if scalar else codes.value
    dtype = ir.DataType.from_numpy(params.int_type.dtype)
    if scalar:  # which the kernel does not join
        one = build.initializer(np.asarray([1], np.int64), f"{wish}_shape")
        value = build.emit("Reshape", [value, one], like, dtype, name=f"{node_name}/vector", output=f"{wish}_vector")
    inputs = [
        *build.scale_and_zero_point(params, wish),
        value,
        *build.scale_and_zero_point(codes.params, f"{wish}_from", scale),
    ]
    found = build.emit_codes(
        "QLinearConcat", inputs, like, params, name=node_name, output=wish, final=False, domain=MS,
        attributes={"axis": 0}, multiplier=[Multiplier.of(scale / params.scale)], certificate=certificate,
    )  # fmt: skip
    if not scalar:
        return found
    none = build.initializer(np.asarray([], np.int64), f"{wish}_scalar_shape")
    back = build.emit("Reshape", [found.value, none], codes.value, dtype, name=f"{node_name}/scalar", output=f"{wish}_scalar")
    return Codes(back, params)
