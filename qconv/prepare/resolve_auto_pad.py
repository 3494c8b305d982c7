"""Write auto_pad as explicit pads wherever they do not depend on a size that is unknown.

    Conv, pools      total = max(0, (ceil(in / stride) - 1) * stride + kernel - in)
                           = kernel - 1                                    for stride 1, whatever the size
    ConvTranspose    total = kernel - stride + output_padding              so that out = in * stride

SAME_UPPER puts the odd one at the end, SAME_LOWER at the beginning. VALID is no padding. Dilated windows stay: onnxruntime
refuses them or leaves the dilation out.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.edit import set_attribute
from qconv.model.graph import attr_int, attr_ints, attr_str

_POOLS = ("MaxPool", "AveragePool", "LpPool")


def resolve_auto_pad(model: ir.Model) -> int:
    """Make the padding of convolutions and pools explicit; returns the number of nodes changed."""
    return sum(_resolve(node) for node in model.graph if node.op_type in ("Conv", "ConvTranspose", *_POOLS) and not node.domain)


def _resolve(node: ir.Node) -> int:
    mode = attr_str(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        return 0
    totals = _totals(node, mode)
    if totals is None:
        return 0
    if mode == "SAME_LOWER":
        pads = [total - total // 2 for total in totals] + [total // 2 for total in totals]
    else:
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
    node.attributes.pop("auto_pad")
    if mode != "VALID":
        # onnxruntime takes SAME as ceil(in / stride), whatever ceil_mode says.
        node.attributes.pop("ceil_mode", None)
    set_attribute(node, "pads", pads)
    return 1


def _totals(node: ir.Node, mode: str) -> list[int] | None:
    """The padding of both ends together, by spatial axis; None where it is not known."""
    kernel = _kernel(node)
    if kernel is None or (mode == "VALID" and attr_int(node, "ceil_mode", 0)) or "output_shape" in node.attributes:
        return None
    rank = len(kernel)
    if mode == "VALID":
        return [0] * rank
    strides, dilations = attr_ints(node, "strides", [1] * rank), attr_ints(node, "dilations", [1] * rank)
    if set(dilations) != {1}:
        return None
    if node.op_type == "ConvTranspose":
        extra = attr_ints(node, "output_padding", [0] * rank)
        totals = [k - stride + more for k, stride, more in zip(kernel, strides, extra, strict=True)]
        return totals if min(totals) >= 0 else None
    x = node.inputs[0]
    sizes = list(x.shape)[2:] if x is not None and x.shape is not None else [None] * rank
    known = [_total(size, k, stride) for size, k, stride in zip(sizes, kernel, strides, strict=True)]
    return None if None in known else [total for total in known if total is not None]


def _total(size: int | ir.SymbolicDim | None, kernel: int, stride: int) -> int | None:
    if isinstance(size, int):
        return max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return kernel - 1 if stride == 1 else None


def _kernel(node: ir.Node) -> list[int] | None:
    """The spatial sizes of the kernel, from the attribute or from the weight."""
    if "kernel_shape" in node.attributes:
        return attr_ints(node, "kernel_shape", ())
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.shape is None or not weight.shape.is_static():
        return None
    return [int(size) for size in weight.shape.numpy()[2:]]
