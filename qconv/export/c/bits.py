"""C statements of products of -1 and +1, on bits (xnor.py)."""

from __future__ import annotations

import math

from qconv.export.c import bit_kernels, kernels
from qconv.export.c.ends import form_of
from qconv.export.c.layers import code_of_sum
from qconv.export.c.writer import Writer, dtype, ints
from qconv.export.network import Node

_ROW = 256  # places of a picture that are summed before the next rows are read


def pack(writer: Writer, node: Node) -> list[str]:
    """Packs codes: the channels of each place of a map, or the last axis."""
    x, middle = writer.tensor(node.inputs[0]), node.attributes["middle"]
    kind, source, out = str(x.dtype), writer.names[node.inputs[0]], writer.names[node.output]
    if node.attributes["maps"]:
        places = math.prod(x.shape[2:])
        writer.scratch = max(writer.scratch, -(-places // 4))
        writer.use("planes", bit_kernels.PLANES, X=kind)
        return [f"planes_{kind}({source}, {places}, {x.shape[1]}, {middle}, {out}, (uint8_t *)(void *)sums);"]
    writer.use("pack", bit_kernels.PACK, X=kind)
    inner, words = x.shape[-1], writer.tensor(node.output).shape[-1]
    rows = math.prod(x.shape[:-1])
    return [f"for (int32_t r = 0; r < {rows}; r++) pack_{kind}({source} + r * {inner}, {inner}, {middle}, {out} + r * {words});"]


def conv(writer: Writer, node: Node) -> list[str]:
    """Computes a convolution of two axes window by window."""
    places, out = writer.tensor(node.inputs[0]).shape, writer.tensor(_codes(node)).shape
    words = writer.tensor(node.inputs[1]).shape[1]
    writer.kernels.setdefault("conv_shape", kernels.CONV)
    writer.kernels.setdefault("window_of", bit_kernels.WINDOW)
    writer.bits = max(writer.bits, 2 * words)
    taps, a = ints(node, "kernel"), node.attributes
    channels = int(str(a["inner"])) // math.prod(taps)
    steps = [*ints(node, "strides"), *ints(node, "dilations"), *ints(node, "pads")]
    fields = [channels, *places[1:3], out[1], *out[2:], 1, *taps, *steps, 0, 0, 0, 0]
    row = f"const int32_t terms = window_of({writer.names[node.inputs[0]]}, r, bits, bits + {words}, {words}, &shape);"
    met = f"terms == {a['inner']} ? 0 : bits + {words}"
    size = math.prod(out[2:])
    lines = _product(writer, node, out[1], size, row, ("bits", met), f"n * {size} + r")
    return [f"static const conv_shape shape = {{{', '.join(map(str, fields))}}};", *lines]


def matmul(writer: Writer, node: Node) -> list[str]:
    """Computes a product with a constant matrix row by row."""
    out, words = writer.tensor(_codes(node)).shape, writer.tensor(node.inputs[1]).shape[1]
    columns, row = out[-1], f"const int32_t terms = {node.attributes['inner']};"
    operands = f"{writer.names[node.inputs[0]]} + r * {words}", "0"
    return _product(writer, node, columns, math.prod(out[:-1]), row, operands, f"r * {columns} + n")


def _codes(node: Node) -> str:
    """The tensor of codes that the output is, or whose bits it is."""
    return str(node.attributes.get("of", node.output))


def _product(writer: Writer, node: Node, columns: int, rows: int, row: str, operands: tuple[str, str], place: str) -> list[str]:
    """Counts differing bits row by row, and makes signs, or codes at their places, of them."""
    blocks, words, lanes = writer.tensor(node.inputs[1]).shape
    padded = blocks * lanes
    writer.kernels = {"bits": bit_kernels.HEAD} | writer.kernels
    writer.kernels.setdefault("counts_of", bit_kernels.COUNTS)
    writer.scratch = max(writer.scratch, padded)
    weight, out = writer.names[node.inputs[1]], writer.names[node.output]
    given = writer.names[node.inputs[2]] if len(node.inputs) > 2 else ""
    if node.attributes.get("of") is not None:
        writer.kernels.setdefault("signs_of", bit_kernels.SIGNS)
        ends = [f"    signs_of(sums, {given}, terms, {columns}, {out} + r * {writer.tensor(node.output).shape[-1]});"]
    elif form_of(node) == "signs":
        zero, kind = node.attributes["y_zero_point"], f"{dtype(writer, node.output)}_t"
        code = f"({kind})({zero} + (2 * sums[n] - terms < {given}[n] ? 1 : -1))"
        ends = [f"    for (int32_t n = 0; n < {columns}; n++) {out}[{place}] = {code};"]
    else:
        total = f"{given + '[n] + ' if given else ''}{node.attributes['unit']} * (terms - 2 * sums[n])"
        ends = [
            f"    for (int32_t n = 0; n < {columns}; n++) {{",
            f"        sums[n] = {total};",
            f"        {out}[{place}] = {code_of_sum(writer, node)};",
            "    }",
        ]
    counts = f"    counts_of({operands[0]}, {operands[1]}, {weight}, {words}, {padded}, sums);"
    return [f"for (int32_t r = 0; r < {rows}; r++) {{", f"    {row}", counts, *ends, "}"]


def picture(writer: Writer, node: Node) -> list[str]:
    """Calls the kernel for a first layer, whose sums of codes by +-1 leave signs only."""
    x, out = writer.tensor(node.inputs[0]), writer.tensor(_codes(node)).shape
    taps = writer.tensor(node.inputs[1]).shape
    writer.kernels.setdefault("conv_shape", kernels.CONV)
    writer.kernels.setdefault("lane_sums", bit_kernels.LANE_SUMS)
    name = writer.use("picture_signs", bit_kernels.PICTURE, X=str(x.dtype))
    dilations, (channels, height, width) = ints(node, "dilations"), x.shape[1:]
    wide = out[3] + (taps[3] - 1) * dilations[1]
    band = max(1, min(out[2], _ROW // wide))
    deep = band + (taps[2] - 1) * dilations[0]
    writer.patch = max(writer.patch, channels * deep * wide + (taps[3] - 1) * dilations[1] + bit_kernels.LANES)
    terms = [
        (c * deep + ky * dilations[0]) * wide + kx * dilations[1]
        for c in range(channels) for ky in range(taps[2]) for kx in range(taps[3])
    ]  # fmt: skip
    at = writer.array(node, "at", terms, "int32")
    fields = [channels, height, width, *out[1:], 1, *taps[2:], 1, 1, *dilations, *ints(node, "pads")]
    fields += [int(str(node.attributes["x_zero_point"])), 0, 0, band]
    operands = ", ".join(writer.names[name] for name in node.inputs)
    return [
        f"static const conv_shape shape = {{{', '.join(map(str, fields))}}};",
        f"{name}({operands}, {at}, {writer.names[node.output]}, patch, &shape);",
    ]
