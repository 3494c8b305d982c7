"""C statements of what finds or uses places along an axis that depend on the data."""

from __future__ import annotations

import math

from qconv.export.c.writer import Writer
from qconv.export.network import Node


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Returns the numbers of elements before, along and behind an axis."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def top(writer: Writer, node: Node) -> list[str]:
    """Keeps the places of the best elements in order while it goes along the axis; equal ones stay behind earlier ones."""
    k, better = int(str(node.attributes["k"])), ">" if node.attributes["largest"] else "<"
    outer, size, inner = _around(writer.tensor(node.inputs[0]).shape, int(str(node.attributes["axis"])))
    x, out = (f"{writer.names[name]} + i * {length * inner} + j" for name, length in ((node.inputs[0], size), (node.output, k)))
    kind = writer.tensor(node.inputs[0]).dtype
    return [
        f"for (int32_t i = 0; i < {outer}; i++)",
        f"    for (int32_t j = 0; j < {inner}; j++) {{",
        f"        const {kind}_t *const x = {x};",
        f"        int64_t *const best = {out};",
        f"        for (int32_t p = 0; p < {size}; p++) {{",
        f"            int32_t at = p < {k} ? p : {k};",
        f"            for (; at > 0 && x[p * {inner}] {better} x[best[(at - 1) * {inner}] * {inner}]; at--)",
        f"                if (at < {k}) best[at * {inner}] = best[(at - 1) * {inner}];",
        f"            if (at < {k}) best[at * {inner}] = p;",
        "        }",
        "    }",
    ]


def pick(writer: Writer, node: Node) -> list[str]:
    """Copies elements from computed places along an axis."""
    names, axis = writer.names, int(str(node.attributes["axis"]))
    x, out = writer.tensor(node.inputs[0]).shape, writer.tensor(node.output).shape
    return _element_by_element(x, out, axis, names[node.inputs[1]], f"{names[node.output]}[e] = {names[node.inputs[0]]}[{{}}];")


def put(writer: Writer, node: Node) -> list[str]:
    """Copies a tensor, and writes other elements to computed places along an axis."""
    data, index, updates = (writer.names[name] for name in node.inputs)
    out, names = writer.tensor(node.output), writer.names[node.output]
    places, axis = writer.tensor(node.inputs[1]).shape, int(str(node.attributes["axis"]))
    copy = f"memcpy({names}, {data}, {out.bytes});"
    return [copy, *_element_by_element(out.shape, places, axis, index, f"{names}[{{}}] = {updates}[e];")]


def _element_by_element(x: tuple[int, ...], given: tuple[int, ...], axis: int, index: str, line: str) -> list[str]:
    """A loop over the elements e of indices; `line` has the place in x of each, whose other axes are as long or longer."""
    terms = []
    for at, size in enumerate(given):
        step, own = math.prod(given[at + 1 :]), math.prod(x[at + 1 :])
        terms.append(f"p * {own}" if at == axis else f"(e / {step} % {size}) * {own}")
    return [
        f"for (int32_t e = 0; e < {math.prod(given)}; e++) {{",
        f"    const int32_t p = (int32_t)({index}[e] < 0 ? {index}[e] + {x[axis]} : {index}[e]);",
        f"    {line.format(' + '.join(terms))}",
        "}",
    ]
