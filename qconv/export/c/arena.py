"""Where tensors lie in one static block of memory: those that live at the same time never overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class _Moment:
    """One point of a run: tensors that begin to live there, and those that are read there. `node` computes the only one made."""

    made: tuple[str, ...]
    read: tuple[str, ...]
    node: Node | None = None


def plan_arena(network: Network) -> Arena:
    """Places the largest blocks first, each as low as what lives at the same time allows."""
    moments = list(_moments(network.nodes))
    last = _last_uses(network, moments)
    blocks: dict[str, _Block] = {}
    for index, moment in enumerate(moments):
        for name in moment.made:
            home = None if moment.node is None else _home(network, moment.node, index, blocks, last)
            if home is None:
                blocks[name] = _Block(network.tensors[name].bytes, index, last[name])
            else:
                blocks[name] = home
                home.last = max(home.last, last[name])
    unique = list({id(block): block for block in blocks.values()}.values())
    places = _place(unique)
    live = max((sum(b.size for b in unique if b.first <= at <= b.last) for at in range(len(moments))), default=0)
    size = max((places[id(b)] + b.size for b in unique), default=0)
    return Arena({name: places[id(block)] for name, block in blocks.items()}, size, live)


def _moments(nodes: Sequence[Node]) -> Iterator[_Moment]:
    """The nodes one by one, and for a body its beginning and its end.

    What rounds hand on lives from one to the other, and what they write into as well; what else a round makes is used in it.
    """
    for node in nodes:
        body = node.body
        if body is None:
            yield _Moment((node.output,), node.inputs, node)
            continue
        given, made = [state.before for state in body.states], [stack.whole for stack in body.stacks]
        yield _Moment((*given, *(part.row for part in body.slices), *made), node.inputs)
        yield from _moments(body.nodes)
        kept = [state.after for state in body.states] + [stack.row for stack in body.stacks]
        yield _Moment(tuple(s.final for s in body.states), (*node.inputs[len(body.states) :], *given, *made, *kept))


def _last_uses(network: Network, moments: Sequence[_Moment]) -> dict[str, int]:
    last = {name: index for index, moment in enumerate(moments) for name in moment.made}
    for index, moment in enumerate(moments):
        last |= dict.fromkeys(moment.read, index)
    return last | {name: len(moments) for name in network.outputs}


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
