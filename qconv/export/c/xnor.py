"""Products of -1 and +1 by exclusive or and counting bits (Hubara et al. 2016, section 3.3): 64 at a time.

sum over k of a_k b_k = K - 2 popcount(a xor b)      a, b in {-1, +1} as bits

Weights are +-c. That a tensor of codes has no other values than Z - 1 and Z + 1 is proved from what makes it: even weights and an
odd bias give an odd sum, which is not zero; a multiplier above one half keeps it from rounding to zero; a Clip does the rest.
Such a tensor is packed once, by the layer that makes it where no other reads its codes: for a map, the channels of each place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qconv.export.network import Array, Network, Node, Tensor

WORD = 64
COLUMNS = 8  # the words of so many columns lie together, as the kernels count for all of them at once
_FEWEST = 16  # terms of a product below which packing costs more than it saves
_MOST = 64  # terms of codes of 8 bits whose sums by +-1 surely fit into 16 bits, with a limit
_PASSING = ("reshape", "max_pool")


@dataclass
class _Packing:
    """The tensors and nodes of a network while its products of -1 and +1 turn into operators on bits."""

    network: Network
    tensors: dict[str, Tensor]
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.makers = {node.output: node for node in self.network.nodes}

    def bits_of(self, name: str, middle: object, *, maps: bool) -> str:
        """The name of the bits of a tensor of codes: of the channels of each place of a map, or of the last axis.

        A node that packs them is added once.
        """
        shape = self.network.tensors[name].shape
        packed = f"{name}/{'places' if maps else 'bits'}"
        if packed not in self.tensors:
            places, count = (_places(shape), shape[1]) if maps else (shape[:-1], shape[-1])
            self.tensors[packed] = Tensor(packed, np.dtype(np.uint64), (*places, -(-count // WORD)))
            self.nodes.append(Node(packed, "pack", (name,), packed, {"of": name, "middle": int(str(middle)), "maps": int(maps)}))
        return packed

    def constant(self, name: str, data: Array) -> str:
        """Adds a constant, and returns its name."""
        self.tensors[name] = Tensor(name, data.dtype, data.shape, data=np.ascontiguousarray(data))
        return name


def by_bits(network: Network) -> Network:
    """The network with its products of -1 and +1 as operators on bits; the network itself where there is none."""
    packing = _Packing(network, dict(network.tensors))
    for node in network.nodes:
        packing.nodes.append(_packed(packing, node))
    if packing.nodes == list(network.nodes):
        return network
    nodes = [_limited(packing, node) for node in _by_signs(network, packing.nodes, packing.makers)]
    nodes = _read(network, _packed_by_makers(_read(network, nodes), packing))
    return replace(network, nodes=nodes, tensors=packing.tensors)


def packed_values(network: Network, values: Mapping[str, Array]) -> dict[str, Array]:
    """The values of all tensors with those of packed ones, from the codes that the integer model has for them."""
    found = dict(values)
    for node in network.nodes:
        name = node.attributes.get("of")
        if isinstance(name, str) and name in values:
            signs = values[name].astype(np.int32) - int(str(node.attributes["middle"]))
            found[node.output] = pack(np.moveaxis(signs, 1, -1) if node.attributes["maps"] else signs)
    return found


def _read(network: Network, nodes: Sequence[Node]) -> list[Node]:
    """The nodes without those that nothing reads any more."""
    read, kept = set(network.outputs), list[Node]()
    for node in reversed(nodes):
        if not read.isdisjoint(node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return kept[::-1]


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


def _packed_by_makers(nodes: Sequence[Node], packing: _Packing) -> list[Node]:
    """The nodes with packing in one with the layer before it, where nothing else reads its codes."""
    reads = Counter([*(name for node in nodes for name in node.inputs), *packing.network.outputs])
    packs = {node.inputs[0]: node for node in nodes if node.op == "pack" and reads[node.inputs[0]] == 1}
    found, joined = list[Node](), set[str]()
    for node in nodes:
        after = packs.get(node.output)
        made = None if after is None or not node.attributes.get("signs") else _gives_bits(packing, node, after)
        if made is not None and after is not None:
            joined.add(after.output)
        if made is not None or node.output not in joined:
            found.append(made or node)
    return found


def _gives_bits(packing: _Packing, node: Node, after: Node) -> Node | None:
    """A layer that gives the bits of its signs; None for one that has no such form."""
    attributes = {**node.attributes, **after.attributes}
    if node.op in ("xnor_conv", "xnor_matmul"):
        alike = (node.op == "xnor_conv") == bool(after.attributes["maps"])
        return replace(node, output=after.output, attributes=attributes) if alike else None
    weight, bias = (packing.tensors[name].data for name in node.inputs[1:3])
    unit = None if weight is None else _unit(weight)
    if node.op != "conv" or weight is None or bias is None or unit is None or weight.ndim != 4:
        return None
    terms, x = int(np.prod(weight.shape[1:])), packing.tensors[node.inputs[0]]
    plain = node.attributes["group"] == 1 and node.attributes["strides"] == [1, 1] and x.dtype.itemsize == 1 and x.shape[0] == 1
    if not plain or terms > _MOST:
        return None
    bound = 255 * terms + 1  # sums lie between -255 terms and 255 terms
    limits = np.clip(-bias.astype(np.int64) // unit, -bound, bound).astype(np.int16)
    signs = packing.constant(f"{node.inputs[1]}/signs", np.sign(weight).astype(np.int8))
    limit = packing.constant(f"{node.inputs[2]}/limits", limits)
    return replace(node, op="picture_signs", inputs=(node.inputs[0], signs, limit), output=after.output, attributes=attributes)


def _limited(packing: _Packing, node: Node) -> Node:
    """A product by bits with what 2 popcount - K lies below for a positive sum, instead of its bias, where it gives signs."""
    if not node.op.startswith("xnor") or not node.attributes.get("signs"):
        return node
    bias, unit = packing.network.tensors[node.inputs[2]].data, int(str(node.attributes["unit"]))
    assert bias is not None
    limits = packing.constant(f"{node.inputs[2]}/limits", (-(-bias.astype(np.int64) // unit)).astype(np.int32))
    return replace(node, inputs=(*node.inputs[:2], limits))


def _places(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of maps besides the channels."""
    return (shape[0], *shape[2:])


def _packed(packing: _Packing, node: Node) -> Node:
    network = packing.network
    if node.op not in ("conv", "matmul") or len(node.inputs) < 2 or not node.rescales:
        return node
    weight = network.tensors[node.inputs[1]].data
    unit = None if weight is None else _unit(weight)
    if weight is None or unit is None or not _is_bipolar(network, node.inputs[0], packing.makers):
        return node
    if node.op == "conv":
        samples = network.tensors[node.inputs[0]].shape[0]
        if node.attributes["group"] != 1 or weight.ndim != 4 or weight.shape[1] < _FEWEST or samples != 1:
            return node
        packed = packing.bits_of(node.inputs[0], node.attributes["x_zero_point"], maps=True)
        rows = pack(weight.transpose(0, 2, 3, 1).reshape(len(weight), -1))  # the channels of one place lie together
    else:
        if weight.ndim != 2 or len(weight) < _FEWEST or node.attributes["b_zero_point"] != 0:
            return node
        packed, rows = _rows_of(packing, node, weight)
    blocks = np.pad(rows, [(0, -len(rows) % COLUMNS), (0, 0)]).reshape(-1, COLUMNS, rows.shape[1]).transpose(0, 2, 1)
    columns = packing.constant(f"{node.inputs[1]}/bits", blocks)
    attributes = {**node.attributes, "unit": unit, "inner": weight.size // len(rows), "kernel": list(weight.shape[2:])}
    return replace(node, op=f"xnor_{node.op}", inputs=(packed, columns, *node.inputs[2:]), attributes=attributes)


def _rows_of(packing: _Packing, node: Node, weight: Array) -> tuple[str, Array]:
    """The bits that a product of matrices reads, and those of its columns: of flattened maps the channels of each place."""
    network, zero = packing.network, node.attributes["a_zero_point"]
    maker, shape = packing.makers.get(node.inputs[0]), network.tensors[node.inputs[0]].shape
    maps = () if maker is None or maker.op != "reshape" else network.tensors[maker.inputs[0]].shape
    if maker is not None and len(maps) == 4 and maps[0] == 1 and shape == (1, len(weight)):
        by_place = weight.T.reshape(-1, *maps[1:]).transpose(0, 2, 3, 1)
        return packing.bits_of(maker.inputs[0], zero, maps=True), pack(by_place).reshape(len(by_place), -1)
    return packing.bits_of(node.inputs[0], zero, maps=False), pack(weight.T)


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
