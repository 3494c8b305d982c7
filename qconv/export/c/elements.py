"""C statements of what works element by element, or moves elements."""

from __future__ import annotations

import math
from collections.abc import Callable

from qconv.export.c.writer import C_TYPES, LONGEST_SHIFT, LOOPS, Writer, dtype, ints, limits, loops, refused
from qconv.export.network import Node


def add(writer: Writer, node: Node) -> list[str]:
    """Adds two scaled codes with one rounding."""
    z, out = node.attributes, writer.tensor(node.output)
    shifts = [record.shift[0] - 7 for record in node.rescales]
    mantissas = [record.m0[0] >> 7 for record in node.rescales]
    shift = max(*shifts, 1)
    if max(9 + 24 + shift - min(shifts), 9 + shift) > LONGEST_SHIFT:
        raise refused(node, "one of its operands is more than 2^27 times as large as the other")
    low, high = limits(out)

    def made(a: str, b: str) -> str:
        terms = [
            f"(int64_t)((int32_t){x} - {z[key]}) * INT64_C({m << (shift - own)})"
            for x, key, m, own in zip((a, b), ("a_zero_point", "b_zero_point"), mantissas, shifts, strict=True)
        ]
        base = f"INT64_C({int(str(z['y_zero_point'])) << shift})"
        return f"({C_TYPES[str(out.dtype)]})clamp(rescale({terms[0]} + {terms[1]} + {base}, {shift}), {low}, {high})"

    return loops(writer, node, made)


def mul(writer: Writer, node: Node) -> list[str]:
    """Multiplies two codes with one rounding."""
    z, out = node.attributes, writer.tensor(node.output)
    mantissa, shift = node.rescales[0].m0[0] >> 7, node.rescales[0].shift[0] - 7
    low, high = limits(out)
    if shift < 1:
        raise refused(node, "it multiplies by 2^23 and more")
    if shift > 52:
        return loops(writer, node, lambda a, b: str(z["y_zero_point"]))

    def made(a: str, b: str) -> str:
        product = f"(int64_t)(((int32_t){a} - {z['a_zero_point']}) * ((int32_t){b} - {z['b_zero_point']})) * {mantissa}"
        base = f"INT64_C({int(str(z['y_zero_point'])) << shift})"
        return f"({C_TYPES[str(out.dtype)]})clamp(rescale({product} + {base}, {shift}), {low}, {high})"

    return loops(writer, node, made)


def lookup(writer: Writer, node: Node) -> list[str]:
    """Looks codes up in a table of 256 entries, which is ordered by bit pattern."""
    x, table = node.inputs
    return loops(writer, node, lambda a: f"{writer.names[table]}[(uint8_t){a}]", [x])


def cast(writer: Writer, node: Node) -> list[str]:
    """Turns elements into another type."""
    kind = str(writer.tensor(node.output).dtype)
    test = " != 0" if kind == "bool" else ""
    return loops(writer, node, lambda a: f"({C_TYPES[kind]})({a}{test})")


def clip(writer: Writer, node: Node) -> list[str]:
    """Keeps elements between two constants."""
    out = writer.tensor(node.output)
    kind, low, high = C_TYPES[str(out.dtype)], int(str(node.attributes["low"])), int(str(node.attributes["high"]))
    least, most = limits(out)

    def made(a: str) -> str:
        upper = a if high >= most else f"({a} > {high} ? {high} : {a})"
        return f"({kind})({upper if low <= least else f'({a} < {low} ? {low} : {upper})'})"

    return loops(writer, node, made)


def infix(sign: str) -> Callable[[Writer, Node], list[str]]:
    """Returns the rule for an operator that C has between two elements."""

    def rule(writer: Writer, node: Node) -> list[str]:
        kind = C_TYPES[dtype(writer, node.output)]
        return loops(writer, node, lambda a, b: f"({kind})({a} {sign} {b})")

    return rule


def extreme(sign: str) -> Callable[[Writer, Node], list[str]]:
    """Returns the rule for the greater or the less of two elements."""

    def rule(writer: Writer, node: Node) -> list[str]:
        kind = C_TYPES[dtype(writer, node.output)]
        return loops(writer, node, lambda a, b: f"({kind})({a} {sign} {b} ? {a} : {b})")

    return rule


def where(writer: Writer, node: Node) -> list[str]:
    """Chooses one of two elements by a third."""
    return loops(writer, node, lambda c, a, b: f"{c} ? {a} : {b}")


def move(writer: Writer, node: Node) -> list[str]:
    """Copies elements as a view with strides reads them."""
    sizes, strides, offset = ints(node, "sizes"), ints(node, "strides"), node.attributes["offset"]
    sizes, strides = (sizes, strides) if sizes else ([1], [0])
    source = " + ".join([str(offset), *(f"{LOOPS[i]} * {stride}" for i, stride in enumerate(strides) if stride)])
    target = " + ".join(f"{LOOPS[i]} * {math.prod(sizes[i + 1 :])}" for i in range(len(sizes)))
    lines = [f"{'    ' * i}for (int32_t {LOOPS[i]} = 0; {LOOPS[i]} < {size}; {LOOPS[i]}++)" for i, size in enumerate(sizes)]
    return [*lines, f"{'    ' * len(sizes)}{writer.names[node.output]}[{target}] = {writer.names[node.inputs[0]]}[{source}];"]


def gather(writer: Writer, node: Node) -> list[str]:
    """Copies elements from constant places."""
    x, places = node.inputs
    size = writer.tensor(node.output).size
    line = f"{writer.names[node.output]}[i] = {writer.names[x]}[{writer.names[places]}[i]];"
    return [f"for (int32_t i = 0; i < {size}; i++) {line}"]


def take(writer: Writer, node: Node) -> list[str]:
    """Copies slices from computed places along an axis."""
    x, index = node.inputs
    shape, count, axis = writer.tensor(x).shape, writer.tensor(index).size, int(str(node.attributes["axis"]))
    outer, inner, size = math.prod(shape[:axis]), math.prod(shape[axis + 1 :]), shape[axis]
    at = f"{writer.names[index]}[j]"
    place = f"({at} < 0 ? {at} + {size} : {at})"
    return [
        f"for (int32_t i = 0; i < {outer}; i++)",
        f"    for (int32_t j = 0; j < {count}; j++)",
        f"        for (int32_t k = 0; k < {inner}; k++)",
        f"            {writer.names[node.output]}[(i * {count} + j) * {inner} + k] = "
        f"{writer.names[x]}[(i * {size} + {place}) * {inner} + k];",
    ]


def concat(writer: Writer, node: Node) -> list[str]:
    """Joins tensors one behind the other."""
    out, axis = writer.tensor(node.output), int(str(node.attributes["axis"]))
    outer, whole = math.prod(out.shape[:axis]), math.prod(out.shape[axis:])
    lines, start = [f"for (int32_t i = 0; i < {outer}; i++) {{"], 0
    for name in node.inputs:
        size = math.prod(writer.tensor(name).shape[axis:])
        target = f"{writer.names[node.output]} + i * {whole} + {start}"
        lines.append(f"    memcpy({target}, {writer.names[name]} + i * {size}, {size * out.dtype.itemsize});")
        start += size
    return [*lines, "}"]


def reshape(writer: Writer, node: Node) -> list[str]:
    """Copies a tensor, unless both lie at the same place."""
    if writer.shares(node.inputs[0], node.output):
        return [f"(void){writer.names[node.output]}; /* nothing moves */"]
    return [f"memcpy({writer.names[node.output]}, {writer.names[node.inputs[0]]}, {writer.tensor(node.output).bytes});"]


def pad(writer: Writer, node: Node) -> list[str]:
    """Puts a constant around a tensor."""
    x, before = writer.tensor(node.inputs[0]), ints(node, "before")
    out = writer.tensor(node.output)
    axes = range(len(out.shape))
    lines = [f"{'    ' * i}for (int32_t {LOOPS[i]} = 0; {LOOPS[i]} < {out.shape[i]}; {LOOPS[i]}++)" for i in axes]
    padded = [i for i in axes if out.shape[i] != x.shape[i] or before[i]]
    tests = " && ".join(f"{LOOPS[i]} >= {before[i]} && {LOOPS[i]} < {before[i] + x.shape[i]}" for i in padded)
    source = " + ".join(f"({LOOPS[i]} - {before[i]}) * {math.prod(x.shape[i + 1 :])}" for i in axes)
    target = " + ".join(f"{LOOPS[i]} * {math.prod(out.shape[i + 1 :])}" for i in axes)
    made = f"({tests or '1'}) ? {writer.names[node.inputs[0]]}[{source}] : {node.attributes['value']}"
    kind = C_TYPES[str(out.dtype)]
    return [*lines, f"{'    ' * len(out.shape)}{writer.names[node.output]}[{target}] = ({kind})({made});"]
