"""Write PRelu with one constant slope for all elements as LeakyRelu, and with slopes by channel in two parts.

y = max(x, 0) + a min(x, 0)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import const_array, is_float


def prelu_to_leaky_relu(model: ir.Model) -> int:
    """Replace every PRelu with constant slopes that are one, or one for each channel; returns their number."""
    editor = Editor(model.graph)
    return sum(_replace(editor, node) for node in tuple(model.graph) if node.op_type == "PRelu" and not node.domain)


def _replace(editor: Editor, node: ir.Node) -> int:
    x, slope = node.inputs[0], const_array(node.inputs[1])
    if x is None or slope is None or slope.size == 0 or not is_float(x):
        return 0
    if not np.any(slope != slope.flat[0]):
        editor.rewrite(node, "LeakyRelu", [x], {"alpha": float(slope.flat[0])})
        return 1
    channels = x.shape[1] if x.shape is not None and len(x.shape) > 1 else None
    if x.shape is None or not isinstance(channels, int) or not _by_channel(slope, len(x.shape), channels):
        return 0
    low = editor.insert_before(
        node, "Clip", [x, None, editor.constant(f"{node.name}/zero", np.asarray(0, x.dtype.numpy()))],  # type: ignore[union-attr]
        name=f"{node.name}/below", shape=x.shape,
    )  # fmt: skip
    high = editor.insert_before(node, "Relu", [x], name=f"{node.name}/above", shape=x.shape)
    factors = editor.constant(f"{node.name}/slopes", slope.reshape(channels, *[1] * (len(x.shape) - 2)))
    sloped = editor.insert_before(node, "Mul", [low, factors], name=f"{node.name}/sloped", shape=x.shape)
    editor.rewrite(node, "Add", [high, sloped])
    return 1


def _by_channel(slope: NDArray[np.floating], rank: int, channels: int) -> bool:
    """Whether slopes broadcast along axis 1 alone."""
    shape = (1,) * (rank - slope.ndim) + slope.shape
    return len(shape) == rank and shape[1] == channels and slope.size == channels
