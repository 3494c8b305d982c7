"""A layer of weights as many small products of matrices: rows of its input, weights [G, K, O], rows of its output.

K counts elements in the order of the kernel (quant/saturation.py): positions, and at each the input channels of the group, with
the channels that tuning adds as zeros. So neighbours in K are neighbours in the processor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_int, attr_ints, attr_str, const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import by_phases, is_convolution
from qconv.ops.kernel_order import conv_order, padded_channels
from qconv.ops.op_table import takes_bias

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """A Conv, Gemm or MatMul with a constant weight of its own."""

    name: str
    weight_name: str
    x: str
    y: str
    shape: tuple[int, ...]
    groups: int
    width: int  # input channels of a group, with those that tuning adds
    transposed: bool  # a Gemm's weight [N, K]
    is_conv: bool
    has_bias: bool
    pairs: bool  # whether its kernel adds products of neighbours
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()

    def weights(self, weight: Array) -> Array:
        """A weight in the layout of the graph as [G, K, O]."""
        if not self.is_conv:
            return np.expand_dims(weight.T if self.transposed else weight, 0)
        outputs, channels, *kernel = weight.shape
        moved = np.moveaxis(weight.reshape(self.groups, outputs // self.groups, channels, *kernel), 2, -1)
        padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, self.width - channels)])
        return padded.reshape(self.groups, outputs // self.groups, -1).transpose(0, 2, 1)

    def weight(self, weights: Array) -> Array:
        """A weight [G, K, O] in the layout of the graph."""
        if not self.is_conv:
            only: Array = weights[0]
            return only.T if self.transposed else only
        outputs, channels, *kernel = self.shape
        split = weights.transpose(0, 2, 1).reshape(self.groups, outputs // self.groups, *kernel, self.width)
        return np.ascontiguousarray(np.moveaxis(split[..., :channels], -1, 2).reshape(self.shape))

    @property
    def columns(self) -> int:
        """The number K of columns of one group."""
        return self.width * math.prod(self.shape[2:]) if self.is_conv else self.shape[1 if self.transposed else 0]

    @property
    def outputs(self) -> int:
        """The output channels of all groups."""
        return self.shape[0] if self.is_conv or self.transposed else self.shape[-1]

    def rows(self, x: Array, y: Array, count: int, zero_point: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Takes at most `count` rows of codes [G, R, K] and of outputs [G, R, O], from positions drawn without replacement."""
        if not self.is_conv:
            taken = _draw(y.size // y.shape[-1], count, rng)
            return x.reshape(-1, x.shape[-1])[taken][None], y.reshape(-1, y.shape[-1])[taken][None]
        taken = _draw(len(y) * math.prod(y.shape[2:]), count, rng)
        outputs = np.moveaxis(y, 1, -1).reshape(-1, y.shape[1])[taken].reshape(len(taken), self.groups, -1)
        return self._seen(x, taken, zero_point), np.ascontiguousarray(outputs.transpose(1, 0, 2))

    def inputs(self, x: Array, count: int, rng: np.random.Generator) -> Array:
        """Takes at most `count` rows [G, R, K] of what the layer sees of x, whose zero is 0; drawn as for `rows`."""
        if not self.is_conv:
            return x.reshape(-1, x.shape[-1])[_draw(x.size // x.shape[-1], count, rng)][None]
        positions = math.prod(self._windows(x[:, :1], 0).shape[2 : x.ndim])
        return self._seen(x, _draw(len(x) * positions, count, rng), 0)

    @property
    def sight(self) -> str:
        """What rows it sees, in words: layers of equal sight have equal second moments."""
        if not self.is_conv:
            return self.x
        parts = (self.groups, self.width, *self.shape[2:], *self.strides, *self.dilations, *self.pads)
        return f"{self.x} {'x'.join(map(str, parts))}"

    def _seen(self, x: Array, taken: NDArray[np.int64], zero_point: int) -> Array:
        """The rows [G, R, K] at some of the positions of a convolution's output, numbered through all items of a batch."""
        windows = self._windows(x, zero_point)
        batch, *places = np.unravel_index(taken, (len(x), *windows.shape[2 : x.ndim]))
        at: tuple[Any, ...] = (batch, slice(None), *places)
        found = windows[at]
        split = np.moveaxis(found.reshape(len(taken), self.groups, -1, *found.shape[2:]), (1, 2), (0, -1))
        padding = [(0, 0)] * (split.ndim - 1) + [(0, self.width - split.shape[-1])]
        return np.pad(split, padding, constant_values=zero_point).reshape(self.groups, len(taken), -1)

    def _windows(self, x: Array, zero_point: int) -> Array:
        """Views [N, C, *out, *kernel] of what each output position sees."""
        kernel = self.shape[2:]
        half = len(self.pads) // 2
        pads = [(0, 0), (0, 0), *zip(self.pads[:half], self.pads[half:], strict=True)]
        padded = np.pad(x, pads, constant_values=zero_point)
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, self.dilations, strict=True))
        seen = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, x.ndim)))
        steps = tuple(slice(None, None, s) for s in self.strides)
        inner = tuple(slice(None, None, d) for d in self.dilations)
        return seen[(slice(None), slice(None), *steps, *inner)]


def layer_of(node: ir.Node) -> Layer | None:
    """The layer that a node is; None for an op without weights, and for forms that are left as they are."""
    if not has_trait(node, Trait.WEIGHTS) or by_phases(node):
        return None
    x, value, y = node.inputs[0], node.inputs[1], node.outputs[0]
    weight = const_array(value)
    if x is None or value is None or weight is None or len(value.uses()) != 1 or y.name is None:
        return None
    names = (str(node.name), str(value.name), str(x.name), str(y.name))
    if is_convolution(node):
        return _conv(node, names, weight.shape)
    if weight.ndim != 2 or attr_int(node, "transA", 0):
        return None
    transposed = bool(attr_int(node, "transB", 0))
    has_bias = takes_bias(node)
    width = weight.shape[1 if transposed else 0]
    return Layer(*names, weight.shape, 1, width, transposed, is_conv=False, has_bias=has_bias, pairs=True)


def _conv(node: ir.Node, names: tuple[str, str, str, str], shape: tuple[int, ...]) -> Layer | None:
    if attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    group, ones = attr_int(node, "group", 1), [1] * (len(shape) - 2)
    width, pairs = padded_channels(shape[1], len(shape), group), conv_order(shape, group) is not None
    return Layer(
        *names, shape, group, width, transposed=False, is_conv=True, has_bias=True, pairs=pairs,
        strides=tuple(attr_ints(node, "strides", ones)), dilations=tuple(attr_ints(node, "dilations", ones)),
        pads=tuple(attr_ints(node, "pads", [0] * (2 * len(ones)))),
    )  # fmt: skip


def _draw(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Up to `count` of `total` indices, in order."""
    return np.arange(total) if total <= count else np.sort(rng.choice(total, count, replace=False))
