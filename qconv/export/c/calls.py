"""Which C statements every operator of a network has."""

from __future__ import annotations

from collections.abc import Callable

from qconv.export.c import bits, chosen, cubes, elements, layers, rounds
from qconv.export.c.writer import Writer, refused
from qconv.export.network import Node


def statements(writer: Writer, node: Node) -> list[str]:
    """Returns the C of one node. Raises FloatNodesError where C has no kernel for it."""
    rule = _RULES.get(node.op)
    if rule is None:
        raise refused(node, "there is no kernel for it")
    return rule(writer, node)


def _conv(writer: Writer, node: Node) -> list[str]:
    rule = cubes.conv if len(writer.tensor(node.output).shape) == 5 else layers.conv
    return rule(writer, node)


def _pool(kernel: str) -> Callable[[Writer, Node], list[str]]:
    flat = layers.pool(kernel)
    return lambda writer, node: (cubes.pool if len(writer.tensor(node.output).shape) == 5 else flat)(writer, node)


_RULES: dict[str, Callable[[Writer, Node], list[str]]] = {
    "conv": _conv,
    "matmul": layers.matmul,
    "pack": bits.pack,
    "picture_signs": bits.picture,
    "xnor_conv": bits.conv,
    "xnor_matmul": bits.matmul,
    "add": elements.add,
    "mul": elements.mul,
    "lookup": elements.lookup,
    "take": elements.take,
    "gather": elements.gather,
    "top": chosen.top,
    "pick": chosen.pick,
    "put": chosen.put,
    "concat": elements.concat,
    "reshape": elements.reshape,
    "move": elements.move,
    "pad": elements.pad,
    "clip": elements.clip,
    "cast": elements.cast,
    "plus": elements.infix("+"),
    "minus": elements.infix("-"),
    "times": elements.infix("*"),
    "divide": elements.infix("/"),
    "xor": elements.infix("^"),
    "at_least": elements.infix(">="),
    "above": elements.infix(">"),
    "below": elements.infix("<"),
    "at_most": elements.infix("<="),
    "equal": elements.infix("=="),
    "and": elements.infix("&&"),
    "or": elements.infix("||"),
    "max": elements.extreme(">"),
    "min": elements.extreme("<"),
    "where": elements.where,
    "softmax": layers.softmax,
    "max_pool": _pool("max_pool"),
    "average_pool": _pool("average_pool"),
    "global_average": layers.global_average,
    "reduce_sum": layers.reduce("0", "total += value;"),
    "reduce_mean": layers.reduce("0", "total += value;", "total / {size}"),
    "reduce_max": layers.reduce("{first}", "total = value > total ? value : total;"),
    "reduce_min": layers.reduce("{first}", "total = value < total ? value : total;"),
    "argmax": layers.arg(">"),
    "argmin": layers.arg("<"),
    "repeat": rounds.repeat(statements),
}
