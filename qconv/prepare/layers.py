"""The layers that are linear in their input and have constant weights, seen alike: what scales their channels.

    Conv            w [Cout, Cin/g, k...]      ConvTranspose   w [Cin, Cout/g, k...]
    Gemm            w [K, N], transB [N, K]    MatMul          w [..., K, N]

With the groups split off, w becomes [g, out/g, in/g, ...] for the convolutions and [..., K, N] for the products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_float, attr_int, attr_ints, attr_str, const_array, is_float

from .affine import Doubles

CONVOLUTIONS = ("Conv", "ConvTranspose")
WITH_BIAS = (*CONVOLUTIONS, "Gemm")


@dataclass(frozen=True)
class Layer:
    """A linear node with a constant weight and a constant bias or none."""

    node: ir.Node
    weight: NDArray[np.floating]
    bias: NDArray[np.floating] | None

    @property
    def group(self) -> int:
        """The number of groups; 1 for the products."""
        return attr_int(self.node, "group", 1) if self.node.op_type in CONVOLUTIONS else 1

    @property
    def channels(self) -> int:
        """The number of output channels."""
        if self.node.op_type == "ConvTranspose":
            return int(self.weight.shape[1]) * self.group
        rows_first = self.node.op_type == "Conv" or (self.node.op_type == "Gemm" and attr_int(self.node, "transB", 0))
        return int(self.weight.shape[0 if rows_first else -1])

    def axis_of(self, value: ir.Value) -> int | None:
        """The channel axis of the layer's input or output, or None if it cannot be told."""
        if self.node.op_type in WITH_BIAS:
            return 1
        return None if value.shape is None else len(value.shape) - 1

    def scale_outputs(self, scale: Doubles) -> NDArray[np.float32]:
        """The weight whose output channel o is scale[o] times this one's; scale is [Cout] or [1]."""
        return self._scale(scale, transposed=self.node.op_type == "ConvTranspose")

    def scale_inputs(self, scale: Doubles) -> NDArray[np.float32]:
        """The weight that sees its input channel c multiplied by scale[c]; scale is [Cin] or [1]."""
        return self._scale(scale, transposed=self.node.op_type != "ConvTranspose")

    def _scale(self, scale: Doubles, *, transposed: bool) -> NDArray[np.float32]:
        """Scale axis 0 of a convolution's weight, which runs over groups and channels, or (transposed) axis 1 within groups."""
        w = self.weight
        if self.node.op_type not in CONVOLUTIONS:
            rows = transposed != bool(self.node.op_type == "Gemm" and attr_int(self.node, "transB", 0))
            return _multiply(w, scale.reshape(-1, 1) if rows else scale)
        per_group = scale.reshape(self.group, -1) if scale.size > 1 else scale.reshape(1, 1)
        shape = (len(per_group), 1, per_group.shape[1]) if transposed else (*per_group.shape, 1)
        split = w.reshape(self.group, w.shape[0] // self.group, *w.shape[1:])
        return _multiply(split, per_group.reshape(*shape, *[1] * (w.ndim - 2))).reshape(w.shape)

    def response(self, shift: Doubles) -> Doubles:
        """What a constant input, shift[c] in channel c, adds to each output channel where no padding is seen: [Cout]."""
        w = self.weight
        if self.node.op_type == "Conv":
            taps = w.sum(axis=tuple(range(2, w.ndim)), dtype=np.float64).reshape(self.group, -1, w.shape[1])
            inputs = np.broadcast_to(shift, (self.group * w.shape[1],)).reshape(self.group, -1)
            return np.asarray(np.einsum("goc,gc->go", taps, inputs).reshape(-1))
        matrix = w.T if self.node.op_type == "Gemm" and attr_int(self.node, "transB", 0) else w
        return np.asarray(np.einsum("k,kn->n", np.broadcast_to(shift, matrix.shape[:1]), matrix))

    def is_padded(self) -> bool:
        """Whether some output sees padding instead of input."""
        explicit = any(attr_ints(self.node, "pads", ()))
        return explicit or attr_str(self.node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")


def _multiply(w: NDArray[np.floating], scale: Doubles) -> NDArray[np.float32]:
    """w * scale in float64, rounded once; numpy converts piece by piece, so that a large weight is held in float32 only."""
    product = np.empty(w.shape, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        np.multiply(w, scale, out=product, dtype=np.float64, casting="same_kind")
    return product


def layer_of(node: ir.Node | None) -> Layer | None:
    """A node as a layer, or None if it is none, if its weight or bias is computed, or if it is a Gemm in an odd form."""
    if node is None or node.domain or node.op_type not in (*WITH_BIAS, "MatMul"):
        return None
    x, weight = node.inputs[0], const_array(node.inputs[1])
    bias_value = node.inputs[2] if len(node.inputs) > 2 else None
    bias = const_array(bias_value)
    if x is None or weight is None or weight.ndim < 2 or not is_float(x) or (bias is None and bias_value is not None):
        return None
    layer = Layer(node, weight, bias)
    plain = all(attr_float(node, name, 1.0) == 1.0 for name in ("alpha", "beta")) and not attr_int(node, "transA", 0)
    if not plain or (bias is not None and bias.shape != (layer.channels,)):
        return None
    return layer
