"""Where the integer network requantizes, as places in the graph of a module."""

from __future__ import annotations

import operator
from enum import Enum, auto
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from .binarized import Sign
from .layers import BATCH_NORMS, LAYERS
from .onnx_functions import PASSING, global_average
from .onnx_moves import sliced
from .phases import interleaved
from .powers import RoundedGradient


class Place(Enum):
    """What an operator means for the codes that pass it."""

    LAYER = auto()  # sums products; requantized behind it
    SIGN = auto()  # one threshold for each channel of the layer before it
    NORM = auto()  # folded into the layer before it, if that is possible
    CLAMP = auto()  # becomes the range of what is requantized before it
    PASS = auto()  # moves or picks codes; the scale stays
    JOIN = auto()  # joins tensors under one scale
    BOUNDED = auto()  # the mathematics bound the result
    PAIR = auto()  # a sum or a product of two activations
    MEAN = auto()  # the mean of all positions of each channel; one rounding behind it
    GATE = auto()  # a product of x and a gate that is rounded too
    OTHER = auto()  # computes; requantized behind it


_PASSING_MODULES = (
    RoundedGradient, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten, nn.Unflatten,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.PixelShuffle, nn.PixelUnshuffle,
    nn.ChannelShuffle, nn.ZeroPad2d, nn.UpsamplingNearest2d,
)  # fmt: skip
_PASSING = {
    functional.dropout, functional.max_pool2d, functional.max_pool1d, functional.pixel_shuffle, torch.flatten, torch.reshape,
    torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.chunk, torch.split, torch.narrow, operator.getitem,
    interleaved,
    "view", "reshape", "flatten", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "chunk", "split", "narrow",
    "expand", "clone", "detach", torch.clone, *PASSING,
}  # fmt: skip
_UNTANGLING = {functional.pixel_shuffle, interleaved, sliced}  # behind the phases of a transposed convolution
_CLAMPS = {
    functional.relu, functional.relu_, functional.relu6, functional.hardtanh, torch.relu, torch.relu_, torch.clamp, torch.clip,
    "relu", "relu_", "clamp", "clamp_", "clip",
}  # fmt: skip
_SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_BOUNDED_MODULES = {nn.Sigmoid: 0, nn.Softmax: 0, nn.Tanh: 1}
_BOUNDED = {
    torch.sigmoid: 0, functional.sigmoid: 0, "sigmoid": 0, torch.softmax: 0, functional.softmax: 0, "softmax": 0,
    torch.tanh: 1, functional.tanh: 1, "tanh": 1,
}  # fmt: skip


def place_of(node: fx.Node, modules: dict[str, nn.Module]) -> Place:
    """The place of a node that computes."""
    found: Any = modules[str(node.target)] if node.op == "call_module" else node.target
    if node.op == "call_module":
        if isinstance(found, LAYERS):
            return Place.LAYER
        if isinstance(found, Sign):
            return Place.SIGN
        if isinstance(found, BATCH_NORMS):
            return Place.NORM
        if isinstance(found, nn.ReLU | nn.ReLU6 | nn.Hardtanh):
            return Place.CLAMP
        nearest = isinstance(found, nn.Upsample) and found.mode == "nearest"
        if nearest or isinstance(found, _PASSING_MODULES):
            return Place.PASS
        if isinstance(found, nn.Hardswish | nn.SiLU):
            return Place.GATE
        if isinstance(found, nn.AdaptiveAvgPool2d) and found.output_size in (1, (1, 1)):
            return Place.MEAN
        return Place.BOUNDED if type(found) in _BOUNDED_MODULES else Place.OTHER
    if found is functional.interpolate and node.kwargs.get("mode", "nearest") == "nearest":
        return Place.PASS
    if found in (torch.cat, torch.concat, torch.stack):
        return Place.JOIN
    if found is global_average:
        return Place.MEAN
    if found in (functional.hardswish, functional.silu):
        return Place.GATE
    if found in _SUMS or found in _PRODUCTS:
        return Place.PAIR
    if found in _CLAMPS:
        return Place.CLAMP
    if found in _PASSING:
        return Place.PASS
    return Place.BOUNDED if found in _BOUNDED else Place.OTHER


def only_reader(node: fx.Node) -> fx.Node | None:
    """The only reader of what a node gives, behind what puts the phases of a transposed convolution in their places."""
    users = tuple(node.users)
    while len(users) == 1 and users[0].target in _UNTANGLING:
        users = tuple(users[0].users)
    return users[0] if len(users) == 1 else None


def maker_of(node: fx.Node) -> fx.Node | None:
    """What the first operand of a node is made by, in front of the same."""
    operand = node.all_input_nodes[0] if node.all_input_nodes else None
    while operand is not None and operand.target in _UNTANGLING:
        operand = operand.all_input_nodes[0]
    return operand


def is_product(node: fx.Node) -> bool:
    """Whether a pair is multiplied, not added."""
    return node.target in _PRODUCTS


def is_hard(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a gated product is HardSwish, not SiLU."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], nn.Hardswish)
    return node.target is functional.hardswish


def limits_of(node: fx.Node, modules: dict[str, nn.Module], levels: int) -> tuple[float, int]:
    """S and Z of an unsigned result that mathematics bound: [0, 1] or [-1, 1]."""
    signed = _BOUNDED_MODULES[type(modules[str(node.target)])] if node.op == "call_module" else _BOUNDED[node.target]
    codes = levels + 1
    return (2.0 / codes, codes // 2) if signed else (1.0 / codes, 0)
