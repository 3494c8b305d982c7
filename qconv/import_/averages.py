"""Averages that a constant is taken from, as layers: one rounding, where truncated sums of codes have one.

mean of n elements - d  =  sum of x / n - d           a depthwise convolution with the weights 1 / n and the bias -d
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_ints, const_array, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import averages_whole_windows
from qconv.quant.pins import PinnedWeight
from qconv.quant.types import INT8, QuantParams


def averages_to_layers(model: ir.Model) -> Iterator[PinnedWeight]:
    """Replaces averages of whole windows and the subtraction behind them, in place; yields the weights that they become."""
    editor = Editor(model.graph)
    for node in tuple(model.graph):
        behind = sole_consumer(node.outputs[0]) if has_trait(node, Trait.AVERAGES) and len(node.inputs) == 1 else None
        moved = const_array(behind.inputs[1]) if behind is not None and behind.op_type == "Sub" else None
        kernel = _kernel(node)
        if behind is None or moved is None or moved.size != 1 or kernel is None:
            continue
        channels, *sizes = kernel
        share = np.asarray(1.0 / np.prod(sizes), np.float32)
        weight = editor.constant(f"{node.name}/share", np.full((channels, 1, *sizes), share))
        bias = editor.constant(f"{node.name}/moved", np.full(channels, -moved.reshape(()), np.float32))
        kept = {name: attr_ints(node, name, []) for name in ("strides", "pads") if name in node.attributes}
        editor.rewrite(node, "Conv", [node.inputs[0], weight, bias], {"kernel_shape": sizes, "group": channels, **kept})
        editor.bypass(behind.outputs[0], node.outputs[0])
        reals = const_array(weight)
        assert reals is not None
        yield PinnedWeight(f"{node.name}/share", reals, QuantParams(share, np.asarray(0), INT8))


def _kernel(node: ir.Node) -> list[int] | None:
    """The number of channels and the sizes of the window; None where the average is not one over whole windows."""
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if shape is None or len(shape) < 3:
        return None
    match node.op_type:
        case "GlobalAveragePool":
            sizes = list(shape[1:])
        case "AveragePool" if averages_whole_windows(node):
            sizes = [shape[1], *attr_ints(node, "kernel_shape", [])]
        case _:
            return None
    return [int(size) for size in sizes if isinstance(size, int)] if all(isinstance(s, int) for s in sizes) else None
