"""The files of a network in C99: model.h, model.c, weights.c, border.c for reals outside, and a test with its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.export.c.arena import Arena, plan_arena
from qconv.export.c.calls import statements
from qconv.export.c.kernels import HEAD
from qconv.export.c.text import c_type, comment, rows
from qconv.export.c.vectors import Sample, vectors
from qconv.export.c.writer import C_TYPES, Writer
from qconv.export.c.xnor import by_bits, packed_values
from qconv.export.network import Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Sources:
    """The text of every file, and what the network needs on a chip, in bytes."""

    files: Mapping[str, str]
    arena: Arena
    constants: int
    largest: Sequence[tuple[str, int]]  # constants by size, with the node that reads them
    tensors: Sequence[tuple[str, int]]  # tensors by size, with the node that makes them

    scratch: int

    @property
    def ram(self) -> int:
        """The static block of memory, with the row of sums; the stack comes on top of it."""
        return self.arena.size + self.scratch


def write_sources(
    network: Network, digest: str, samples: Sequence[Sample], *, bits: bool = True, prefix: str = "model"
) -> Sources:
    """Writes the C of a network, with products of -1 and +1 by `bits`. Raises FloatNodesError for what has no kernel in C.

    All names that a linker sees begin with `prefix`, so that several networks go into one program.
    """
    network = by_bits(network) if bits else network
    samples = [Sample(packed_values(network, sample.values)) for sample in samples]
    names = _names(network, prefix)
    arena = plan_arena(network)
    writer = Writer(network, names, arena.offsets, prefix)
    bodies = [statements(writer, node) for node in network.nodes]
    constants = {names[t.name]: (str(t.dtype), t.data) for t in network.constants} | writer.arrays
    files = {
        "model.h": _header(network, names, arena, digest, prefix),
        "model.c": _model(network, arena, writer, bodies, constants),
        "weights.c": _weights(constants),
        "border.h": _border_header(network, prefix),
        "border.c": _border(network, prefix),
        "test.c": _test(network, names, prefix),
        "vectors.h": vectors(network, names, samples, prefix),
        "Makefile": _MAKEFILE,
    }
    sizes = {name: data.nbytes for name, (_, data) in constants.items() if data is not None}
    readers = {name: node.name for node in network.all_nodes() for name in node.inputs}
    largest = sorted(((readers[t.name], t.bytes) for t in network.constants if t.name in readers), key=lambda pair: -pair[1])
    tensors = sorted(((n.name, network.tensors[n.output].bytes) for n in network.all_nodes()), key=lambda pair: -pair[1])
    return Sources(
        files, arena, sum(sizes.values()), largest[:5], tensors[:5], 4 * writer.scratch + 2 * writer.patch + 8 * writer.bits
    )


def _names(network: Network, prefix: str) -> dict[str, str]:
    """Gives every tensor a name in C with a number; those of constants begin with `prefix`, as other files see them."""
    names: dict[str, str] = {}
    for index, name in enumerate(network.inputs):
        names[name] = f"input{index}"
    constants = {tensor.name for tensor in network.constants}
    for name in network.tensors:
        if name not in names:
            names[name] = f"{prefix}_c{len(names)}" if name in constants else f"t{len(names)}"
    return names


def _arguments(network: Network, names: Mapping[str, str]) -> str:
    inputs = [f"const {c_type(network.tensors[name])} *{names[name]}" for name in network.inputs]
    outputs = [f"{c_type(network.tensors[name])} *output{index}" for index, name in enumerate(network.outputs)]
    return ", ".join([*inputs, *outputs])


def _header(network: Network, names: Mapping[str, str], arena: Arena, digest: str, prefix: str) -> str:
    word = prefix.upper()
    lines = ["/* Made by qconv; do not edit. */", f"#ifndef {word}_H", f"#define {word}_H", "", "#include <stdint.h>", ""]
    lines += [f'#define {word}_SHA256 "{digest}"', f"#define {word}_ARENA_BYTES {max(arena.size, 1)}"]
    lines += [f"#define {word}_NODES {len(network.results)}", ""]
    for kind, tensors in (("INPUT", network.inputs), ("OUTPUT", network.outputs)):
        for index, name in enumerate(tensors):
            tensor = network.tensors[name]
            lines.append(
                f"/* {comment(network.reals.get(name) or name)}: {' x '.join(map(str, tensor.shape))} of {c_type(tensor)} */"
            )
            lines.append(f"#define {word}_{kind}{index}_SIZE {tensor.size}")
    lines += ["", "/* Computes the outputs; memory is static, so that one call runs at a time. */"]
    lines += [f"void {prefix}_run({_arguments(network, names)});", ""]
    lines += ["#ifdef MODEL_TRACE", "/* Called after each node with what it made. */"]
    lines += [f"void {prefix}_trace(int node, const void *data, uint32_t bytes);", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def _model(
    network: Network, arena: Arena, writer: Writer, bodies: Sequence[Sequence[str]], constants: Mapping[str, tuple[str, Any]]
) -> str:
    names, prefix = writer.names, writer.prefix
    lines = ["/* Made by qconv; do not edit. */", _AS_VECTORS, '#include "model.h"', "", "#include <string.h>", ""]
    lines += [f"extern const {C_TYPES[kind]} {name}[{max(data.size, 1)}];" for name, (kind, data) in constants.items()]
    lines += [HEAD, *writer.kernels.values()]
    if network.nodes:
        lines += [f"static union {{ int64_t aligned; uint8_t bytes[{max(arena.size, 1)}]; }} arena;"]
    if writer.scratch:
        lines += [f"static int32_t sums[{writer.scratch}];"]
    if writer.patch:
        lines += [f"static int16_t patch[{writer.patch}];"]
    if writer.bits:
        lines += [f"static uint64_t bits[{writer.bits}];"]
    lines += ["", f"void {prefix}_run({_arguments(network, names)})", "{"]
    read = {name for node in network.nodes for name in node.inputs} | set(network.outputs)
    lines += [f"    (void){names[name]};" for name in network.inputs if name not in read]
    for name, offset in arena.offsets.items():
        kind = c_type(network.tensors[name])
        lines.append(f"    {kind} *const {names[name]} = ({kind} *)(void *)(arena.bytes + {offset});")
    numbers = {name: index for index, (_, name) in enumerate(network.results)}
    for node, body in zip(network.nodes, bodies, strict=True):
        lines += ["", f"    /* {comment(node.name)}: {node.op} */", "    {"]
        lines += [f"        {line}" for line in body]
        lines += ["    }", "#ifdef MODEL_TRACE"]
        lines += [f"    {prefix}_trace({numbers[name]}, {names[name]}, {network.tensors[name].bytes});" for name in node.outputs]
        lines += ["#endif"]
    lines.append("")
    for index, name in enumerate(network.outputs):
        lines.append(f"    memcpy(output{index}, {names[name]}, {network.tensors[name].bytes});")
    return "\n".join([*lines, "}", ""])


def _weights(constants: Mapping[str, tuple[str, Any]]) -> str:
    lines = ["/* Made by qconv; do not edit. */", "#include <stdint.h>", ""]
    for name, (kind, data) in constants.items():
        declared = f"const {C_TYPES[kind]} {name}[{max(data.size, 1)}]"
        lines += [f"extern {declared};", f"{declared} = {{", *rows(data, kind), "};"]
    return "\n".join([*lines, ""])


def _border_header(network: Network, prefix: str) -> str:
    guard = f"{prefix.upper()}_BORDER_H"
    lines = ["/* Made by qconv; reals for a host that has them. The network itself needs none. */"]
    lines += [f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", ""]
    lines += [f"{declared};" for declared, _ in _border_functions(network, prefix)]
    return "\n".join([*lines, "", "#endif", ""])


def _border(network: Network, prefix: str) -> str:
    lines = ["/* Made by qconv; reals for a host that has them. The network itself needs none. */"]
    lines += ['#include "border.h"', "", "#include <math.h>", ""]
    for declared, body in _border_functions(network, prefix):
        lines += [declared, "{", *body, "}", ""]
    return "\n".join(lines)


def _border_functions(network: Network, prefix: str) -> list[tuple[str, list[str]]]:
    """A function for each input and output whose codes stand for reals of one scale."""
    found = []
    for kind, tensors in (("quantize_input", network.inputs), ("dequantize_output", network.outputs)):
        for index, name in enumerate(tensors):
            tensor = network.tensors[name]
            if tensor.params is None:
                continue
            scales = np.broadcast_to(tensor.params.scale, (1,) if tensor.params.axis is None else tensor.params.scale.shape)
            inner = 1 if tensor.params.axis is None else int(np.prod(tensor.shape[tensor.params.axis + 1 :]))
            zero = int(tensor.params.zero_point.reshape(-1)[0])
            code, low, high = c_type(tensor), tensor.params.int_type.qmin, tensor.params.int_type.qmax
            listed = ", ".join(f"{float(scale)!r}f" for scale in scales)
            body = [f"    static const float scales[{scales.size}] = {{{listed}}};"]
            body += [f"    for (int32_t i = 0; i < {tensor.size}; i++) {{"]
            body += [f"        const float scale = scales[(i / {inner}) % {scales.size}];"]
            if kind == "quantize_input":
                body += [f"        const float code = rintf(reals[i] / scale) + {zero}.0f;"]
                body += [f"        codes[i] = ({code})(code < {low}.0f ? {low}.0f : (code > {high}.0f ? {high}.0f : code));"]
                declared = f"void {prefix}_{kind}{index}(const float *reals, {code} *codes)"
            else:
                body += [f"        reals[i] = (float)((int32_t)codes[i] - {zero}) * scale;"]
                declared = f"void {prefix}_{kind}{index}(const {code} *codes, float *reals)"
            found.append((declared, [*body, "    }"]))
    return found


def _test(network: Network, names: Mapping[str, str], prefix: str) -> str:
    sizes = [f"{prefix.upper()}_OUTPUT{i}_SIZE" for i in range(len(network.outputs))]
    outputs = [f"    static {c_type(network.tensors[n])} output{i}[{sizes[i]}];" for i, n in enumerate(network.outputs)]
    given = [f"vector_{names[name]}[sample]" for name in network.inputs] + [f"output{i}" for i in range(len(network.outputs))]
    checks = [
        f"        if (memcmp(output{i}, expected{i}[sample], sizeof output{i}) != 0) {{"
        f' printf("sample %d: output {i} differs\\n", sample); wrong++; }}'
        for i in range(len(network.outputs))
    ]
    return "\n".join(
        [
            "/* Made by qconv: runs the vectors, and compares every tensor of every node by its hash (FNV-1a, 64 bits). */",
            '#include "model.h"', '#include "vectors.h"', "", "#include <stdio.h>", "#include <string.h>", "",
            "static int sample, wrong;", "", "#ifdef MODEL_TRACE",
            f"void {prefix}_trace(int node, const void *data, uint32_t bytes)", "{",
            "    uint64_t hash = UINT64_C(0xCBF29CE484222325);", "    const uint8_t *at = data;",
            "    for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);",
            "    if (hashes[sample][node] != 0 && hash != hashes[sample][node]) {",
            '        printf("sample %d: node %d (%s) differs\\n", sample, node, node_names[node]);',
            "        wrong++;", "    }", "}",
            "#endif", "", "int main(void)", "{", *outputs,
            "    for (sample = 0; sample < SAMPLES; sample++) {", f"        {prefix}_run({', '.join(given)});", *checks, "    }",
            '    printf("%d samples, %d differences\\n", SAMPLES, wrong);', "    return wrong != 0;", "}", "",
        ]
    )  # fmt: skip


# Loops over a row pay as vectors, which gcc leaves alone at -O2.
_AS_VECTORS = """#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O3")
#endif"""

_MAKEFILE = """# Made by qconv.
CC ?= cc
CFLAGS ?= -O2
STRICT = -std=c99 -Wall -Wextra -Wconversion -Wno-unused-function

check: test
\t./test

test: model.c weights.c test.c model.h vectors.h
\t$(CC) $(STRICT) $(CFLAGS) -DMODEL_TRACE -o test model.c weights.c test.c

size: model.c weights.c
\t$(CC) $(STRICT) -Os -c model.c weights.c
\tsize model.o weights.o

clean:
\trm -f test model.o weights.o

.PHONY: check size clean
"""
