"""Where tensors lie in one static block of memory: those that live at the same time never overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qconv.export.network import Network, Node, Tensor

_ALIGNED = 8  # bytes
# They read an element before they write it at the same place: the output may take the place of an input that is not read again.
_IN_PLACE = frozenset(
    {"lookup", "clip", "add", "mul", "plus", "minus", "times", "divide", "max", "min", "xor", "at_least", "cast", "where"}
)


@dataclass(frozen=True)
class Arena:
    """The offset of every tensor that is no constant and no input, and the size of the block, in bytes.

    `live` is the largest sum of tensors that are alive at one time: no plan can do with less.
    """

    offsets: Mapping[str, int]
    size: int
    live: int


@dataclass
class _Block:
    """Tensors that share their place, one after the other."""

    size: int
    first: int
    last: int


def plan_arena(network: Network) -> Arena:
    """Places the largest blocks first, each as low as what lives at the same time allows."""
    last = _last_uses(network)
    blocks: dict[str, _Block] = {}
    for index, node in enumerate(network.nodes):
        output = network.tensors[node.output]
        home = _home(network, node, index, blocks, last)
        if home is None:
            blocks[node.output] = _Block(output.bytes, index, last[node.output])
        else:
            blocks[node.output] = home
            home.last = max(home.last, last[node.output])
    unique = list({id(block): block for block in blocks.values()}.values())
    places = _place(unique)
    live = max((sum(b.size for b in unique if b.first <= at <= b.last) for at in range(len(network.nodes))), default=0)
    size = max((places[id(b)] + b.size for b in unique), default=0)
    return Arena({name: places[id(block)] for name, block in blocks.items()}, size, live)


def _last_uses(network: Network) -> dict[str, int]:
    last = {node.output: index for index, node in enumerate(network.nodes)}
    for index, node in enumerate(network.nodes):
        last |= dict.fromkeys(node.inputs, index)
    return last | {name: len(network.nodes) for name in network.outputs}


def _home(network: Network, node: Node, index: int, blocks: Mapping[str, _Block], last: Mapping[str, int]) -> _Block | None:
    """The block of an input that the output can take over, or shares because nothing moves."""
    output = network.tensors[node.output]
    if node.op == "reshape":
        return blocks.get(node.inputs[0])
    if node.op not in _IN_PLACE:
        return None
    for name in node.inputs:
        block, tensor = blocks.get(name), network.tensors[name]
        alone = block is not None and block.last == index and last[name] == index and node.inputs.count(name) == 1
        if alone and _alike(tensor, output):
            return block
    return None


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype.itemsize == b.dtype.itemsize


def _place(blocks: Sequence[_Block]) -> dict[int, int]:
    places: dict[int, int] = {}
    placed: list[tuple[int, _Block]] = []
    for block in sorted(blocks, key=lambda block: (-block.size, block.first)):
        at = 0
        for start, other in sorted(placed, key=lambda pair: pair[0]):
            if other.first > block.last or other.last < block.first:
                continue
            if at + block.size <= start:
                break
            at = max(at, -(-(start + other.size) // _ALIGNED) * _ALIGNED)
        places[id(block)] = at
        placed.append((at, block))
    return places
