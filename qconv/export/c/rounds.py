"""The loop in C over the rounds of a body."""

from __future__ import annotations

from collections.abc import Callable

from qconv.export.c.writer import Writer, refused
from qconv.export.network import Node, Row

Statements = Callable[[Writer, Node], list[str]]


def repeat(statements: Statements) -> Statements:
    """Returns the rule of nodes that repeat, whose bodies have the statements that `statements` gives."""

    def rule(writer: Writer, node: Node) -> list[str]:
        body = node.body
        assert body is not None
        handed = {state.before for state in body.states}
        if any(state.after in handed - {state.before} for state in body.states):
            raise refused(node, "one of its states becomes another")
        lines = [_copy(writer, state.before, state.initial) for state in body.states]
        lines.append(f"for (int32_t t = 0; t < {body.count}; t++) {{")
        lines += [f"    {_copy(writer, part.row, part.whole, at=_place(writer, part, body.count))}" for part in body.slices]
        for inner in body.nodes:
            lines += ["    {", *(f"        {line}" for line in statements(writer, inner)), "    }"]
        lines += [f"    {_copy(writer, part.whole, part.row, to=_place(writer, part, body.count))}" for part in body.stacks]
        lines += [f"    {_copy(writer, state.before, state.after)}" for state in body.states if state.after != state.before]
        return [*lines, "}", *(_copy(writer, state.final, state.before) for state in body.states)]

    return rule


def _place(writer: Writer, part: Row, count: int) -> str:
    """Returns where the row of a round begins in the whole."""
    number = f"({count - 1} - t)" if part.backwards else "t"
    return f" + {number} * {writer.tensor(part.row).size}"


def _copy(writer: Writer, target: str, source: str, *, to: str = "", at: str = "") -> str:
    size = min(writer.tensor(target).bytes, writer.tensor(source).bytes)
    return f"memcpy({writer.names[target]}{to}, {writer.names[source]}{at}, {size});"
