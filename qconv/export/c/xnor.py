"""Products of -1 and +1 by exclusive or and counting bits (Hubara et al. 2016, section 3.3): 64 at a time.

sum over k of a_k b_k = K - 2 popcount(a xor b)      a, b in {-1, +1} as bits

Weights are +-c. That a tensor of codes has no other values than Z - 1 and Z + 1 is proved from what makes it: even weights and an
odd bias give an odd sum, which is not zero; a multiplier above one half keeps it from rounding to zero; a Clip does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from qconv.export.network import Array, Network, Node, Tensor

WORD = 64
_FEWEST = 16  # terms of a product below which packing costs more than it saves
_PASSING = ("reshape", "max_pool")


def by_bits(network: Network) -> Network:
    """The network with its products of -1 and +1 as operators on bits; the network itself where there is none."""
    makers = {node.output: node for node in network.nodes}
    tensors = dict(network.tensors)
    nodes = [_packed(network, node, makers, tensors) for node in network.nodes]
    if nodes == list(network.nodes):
        return network
    return replace(network, nodes=_by_signs(network, nodes, makers), tensors=tensors)


def _by_signs(network: Network, nodes: Sequence[Node], makers: Mapping[str, Node]) -> list[Node]:
    """The nodes with a layer and its Clip in one, where the Clip leaves the sign of the layer's sums alone."""
    reads = Counter([*(name for node in nodes for name in node.inputs), *network.outputs])
    clips = {node.inputs[0]: node for node in nodes
             if node.op == "clip" and reads[node.inputs[0]] == 1 and _leaves_signs(network, node, makers)}  # fmt: skip
    return [
        replace(node, output=clips[node.output].output, attributes={**node.attributes, "signs": 1})
        if node.output in clips
        else node
        for node in nodes
        if node.op != "clip" or clips.get(node.inputs[0]) is not node
    ]


def _packed(network: Network, node: Node, makers: Mapping[str, Node], tensors: dict[str, Tensor]) -> Node:
    if node.op not in ("conv", "matmul") or len(node.inputs) < 2 or not node.rescales:
        return node
    weight = network.tensors[node.inputs[1]].data
    unit = None if weight is None else _unit(weight)
    if weight is None or unit is None or not _is_bipolar(network, node.inputs[0], makers):
        return node
    if node.op == "conv":
        if node.attributes["group"] != 1 or weight.ndim != 4 or weight.shape[1] < _FEWEST:
            return node
        rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)  # the channels of one place lie together
    else:
        if weight.ndim != 2 or len(weight) < _FEWEST or node.attributes["b_zero_point"] != 0:
            return node
        rows = weight.T
    name = f"{node.inputs[1]}/bits"
    tensors[name] = Tensor(name, np.dtype(np.uint64), (*rows.shape[:-1], -(-rows.shape[-1] // WORD)), data=pack(rows))
    inputs = (node.inputs[0], name, *node.inputs[2:])
    attributes = {**node.attributes, "unit": unit, "inner": rows.shape[-1], "kernel": list(weight.shape[2:])}
    return replace(node, op=f"xnor_{node.op}", inputs=inputs, attributes=attributes)


def pack(signs: Array) -> Array:
    """Bits of the last axis in words of 64, the first in the lowest; one for what is positive."""
    count = signs.shape[-1]
    padded = np.pad(signs > 0, [(0, 0)] * (signs.ndim - 1) + [(0, -count % WORD)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<u8").astype(np.uint64)


def _unit(weight: Array) -> int | None:
    """The magnitude that all weights have, or None."""
    magnitudes = np.unique(np.abs(weight.astype(np.int32)))
    return int(magnitudes[0]) if magnitudes.size == 1 and magnitudes[0] > 0 else None


def _is_bipolar(network: Network, name: str, makers: Mapping[str, Node]) -> bool:
    """Whether a tensor has no other codes than those next to its zero point."""
    node = makers.get(name)
    while node is not None and node.op in _PASSING:
        node = makers.get(node.inputs[0])
    return node is not None and _leaves_signs(network, node, makers)


def _leaves_signs(network: Network, node: Node, makers: Mapping[str, Node]) -> bool:
    """Whether a Clip of a layer has no other codes than those next to the zero point: that above it where the sum is positive."""
    if node.op != "clip":
        return False
    layer = makers.get(node.inputs[0])
    if layer is None or layer.op not in ("conv", "matmul") or len(layer.inputs) < 3 or not layer.rescales:
        return False
    zero = layer.attributes["y_zero_point"]
    assert isinstance(zero, int)
    if (node.attributes["low"], node.attributes["high"]) != (zero - 1, zero + 1):
        return False
    weight, bias = (network.tensors[name].data for name in layer.inputs[1:3])
    if weight is None or bias is None or (weight % 2 != 0).any() or (bias % 2 == 0).any():
        return False
    record = layer.rescales[0]
    return all(2 * m0 > 1 << shift for m0, shift in zip(record.m0, record.shift, strict=True))
