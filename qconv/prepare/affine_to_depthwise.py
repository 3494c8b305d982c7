"""Turn an affine map by channel that no layer takes into a depthwise convolution with a kernel of one.

    y[n, c, ...] = scale[c] * x[n, c, ...] + shift[c]        Conv, group C, w = scale [C, 1, 1...], b = shift

A matrix [n, c] gets an axis for it: Unsqueeze, Conv, Squeeze. A shift by one number in front of convolutions that do not take it,
as they are padded, becomes one too: as a sum it would hold all channels to one scale. Other scalars, and maps along other axes,
stay Mul and Add.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Attribute, Editor

from .affine import Chain, affine_chains


def affine_to_depthwise(model: ir.Model) -> int:
    """Turn every affine chain along axis 1 into a depthwise Conv; returns the number of chains."""
    editor = Editor(model.graph)
    return sum(_convert(editor, chain) for chain in affine_chains(model.graph))


def _convert(editor: Editor, chain: Chain) -> int:
    shape, last = chain.source.shape, chain.nodes[-1]
    if shape is None or len(shape) < 2 or 0 in list(shape):
        return 0  # a convolution of no elements ends the process
    if chain.affine.axis != 1 and not _stands_between_layers(chain):
        return 0
    channels, lifted = shape[1] if chain.affine.axis is None else len(chain.affine.scale), len(shape) == 2
    assert isinstance(channels, int)
    kernel = [1] * (1 if lifted else len(shape) - 2)
    scale, shift = (np.broadcast_to(array, (channels,)).astype(np.float32) for array in (chain.affine.scale, chain.affine.shift))
    weight = editor.constant(f"{last.name}/weight", scale.reshape(channels, 1, *kernel))
    inputs: list[ir.Value | None] = [chain.source, weight]
    if chain.affine.shifts:
        inputs.append(editor.constant(f"{last.name}/bias", shift))
    attributes: dict[str, Attribute] = {"group": channels, "kernel_shape": kernel}
    if lifted:
        axes = editor.constant(f"{last.name}/axes", np.array([2], np.int64))
        deep = ir.Shape([*shape, 1])
        inputs[0] = editor.insert_before(last, "Unsqueeze", [chain.source, axes], name=f"{last.name}/unsqueeze", shape=deep)
        wide = editor.insert_before(last, "Conv", inputs, attributes, name=f"{last.name}/squeeze", shape=deep, main=True)
        editor.rewrite(last, "Squeeze", [wide, axes])
    else:
        editor.rewrite(last, "Conv", inputs, attributes)
    editor.remove_unread(chain.nodes[:-1])
    return 1


def _stands_between_layers(chain: Chain) -> bool:
    """Whether a map by two numbers shifts what was computed for convolutions over channels of a known number."""
    shape, maker = chain.source.shape, chain.source.producer()
    readers = [use.node for use in chain.target.uses()]
    is_map = chain.affine.axis is None and chain.affine.shifts and maker is not None and bool(readers)
    channels = shape[1] if shape is not None and len(shape) > 2 else None
    return is_map and isinstance(channels, int) and channels > 1 and all(reader.op_type == "Conv" for reader in readers)
