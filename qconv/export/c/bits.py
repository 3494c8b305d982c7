"""C statements and kernels of products of -1 and +1 (xnor.py)."""

from __future__ import annotations

import math
from typing import Final

from qconv.export.c import kernels
from qconv.export.c.layers import code_of_sum, conv_calls, gives_signs
from qconv.export.c.writer import Writer, dtype, ints, refused
from qconv.export.network import Node

ONES: Final = """
/* How many bits are one. */
static int32_t ones(uint64_t word)
{
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__aarch64__))
    return (int32_t)__builtin_popcountll(word);
#else
    word -= (word >> 1) & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return (int32_t)((word * UINT64_C(0x0101010101010101)) >> 56);
#endif
}
"""
PACK: Final = """
/* Codes that lie `step` apart as bits in words of 64: one for a code above the middle. */
static void pack_@X@(const @X_T@ *x, int32_t step, int32_t count, int32_t middle, uint64_t *bits)
{
    for (int32_t from = 0; from < count; from += 64) {
        const int32_t until = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        for (int32_t i = 0; i < until; i++) word |= (uint64_t)((int32_t)x[(from + i) * step] > middle) << i;
        *bits++ = word;
    }
}
"""
PLANES: Final = """
/* Maps of codes as bits of the channels of each place: eight channels at a time as the bits of a byte for each place. */
static void planes_@X@(const @X_T@ *x, int32_t places, int32_t channels, int32_t middle, uint64_t *bits, uint8_t *plane)
{
    const int32_t each = (channels + 63) / 64;
    for (int32_t i = 0; i < places * each; i++) bits[i] = 0;
    for (int32_t from = 0; from < channels; from += 8) {
        const int32_t until = channels - from < 8 ? channels : from + 8;
        for (int32_t p = 0; p < places; p++) plane[p] = 0;
        for (int32_t c = from; c < until; c++)
            for (int32_t p = 0; p < places; p++) plane[p] |= (uint8_t)(x[c * places + p] > middle ? 1 << (c - from) : 0);
        for (int32_t p = 0; p < places; p++) bits[p * each + from / 64] |= (uint64_t)plane[p] << (from % 64);
    }
}
"""
ROW: Final = """
/* sums[n] = bias[n] + unit * (inner - 2 * the bits in which a row and the weights of n differ). */
static void xnor_row(const uint64_t *a, const uint64_t *w, const int32_t *bias, int32_t *sums, int32_t words, int32_t columns,
                     int32_t inner, int32_t unit)
{
    for (int32_t n = 0; n < columns; n++) {
        const uint64_t *const own = w + n * words;
        int32_t differing = 0;
        for (int32_t i = 0; i < words; i++) differing += ones(a[i] ^ own[i]);
        sums[n] = (bias ? bias[n] : 0) + unit * (inner - 2 * differing);
    }
}
"""
APPEND: Final = """
/* Puts `count` bits behind the first `at` ones of a row that is zero from there on; ones where there is no source. */
static void append_bits(uint64_t *row, int32_t at, const uint64_t *source, int32_t count)
{
    for (int32_t from = 0; from < count; from += 64) {
        const int32_t some = count - from < 64 ? count - from : 64, offset = (at + from) % 64;
        const uint64_t all = some == 64 ? ~UINT64_C(0) : (UINT64_C(1) << some) - 1;
        const uint64_t word = source ? source[from / 64] : all;
        uint64_t *const to = row + (at + from) / 64;
        to[0] |= word << offset;
        if (offset + some > 64) to[1] |= word >> (64 - offset);
    }
}
"""
CONV: Final = """
/* All places of the input as bits of their channels; what a window meets, as one row of bits, serves all output channels. */
static void xnor_conv@SIGNS@_@X@(const @X_T@ *x, const uint64_t *w, const int32_t *bias, const int32_t *m, const uint8_t *shift,
                          @X_T@ *y, uint64_t *bits, int32_t words, int32_t unit, const conv_shape *s)
{
@START@    const int32_t places = s->height * s->width, map = s->out_height * s->out_width, each = (s->channels + 63) / 64;
    uint64_t *const row = bits + places * each, *const met = row + words;
    planes_@X@(x, places, s->channels, s->x_zero_point, bits, (uint8_t *)(met + words));
    for (int32_t at = 0; at < map; at++) {
        const int32_t top = (at / s->out_width) * s->stride_y - s->pad_y;
        const int32_t left = (at % s->out_width) * s->stride_x - s->pad_x;
        const int whole = top >= 0 && top + (s->kernel_height - 1) * s->dilation_y < s->height && left >= 0 &&
                          left + (s->kernel_width - 1) * s->dilation_x < s->width;
        int32_t terms = 0, place = 0;
        for (int32_t i = 0; i < (whole ? words : 2 * words); i++) row[i] = 0;
        for (int32_t ky = 0; ky < s->kernel_height; ky++)
            for (int32_t kx = 0; kx < s->kernel_width; kx++, place += s->channels) {
                const int32_t line = top + ky * s->dilation_y, column = left + kx * s->dilation_x;
                if (line < 0 || line >= s->height || column < 0 || column >= s->width) continue;
                append_bits(row, place, bits + (line * s->width + column) * each, s->channels);
                if (!whole) append_bits(met, place, 0, s->channels);
                terms += s->channels;
            }
        for (int32_t o = 0; o < s->outputs; o++) {
            const uint64_t *const own = w + o * words;
            int32_t differing = 0;
            if (whole)
                for (int32_t i = 0; i < words; i++) differing += ones(row[i] ^ own[i]);
            else
                for (int32_t i = 0; i < words; i++) differing += ones((row[i] ^ own[i]) & met[i]);
            const int32_t own = s->per_channel ? o : 0;
            const int32_t sum = unit * (terms - 2 * differing) + (bias ? bias[o] : 0);
            y[o * map + at] = @CODE@;
        }
    }
}
"""


def conv(writer: Writer, node: Node) -> list[str]:
    """Calls a convolution of two axes that counts bits."""
    x, weight = node.inputs[:2]
    shape, out = writer.tensor(x).shape, writer.tensor(node.output).shape
    words, taps = writer.tensor(weight).shape[1], ints(node, "kernel")
    if len(shape) != 4:
        raise refused(node, "it has another number of axes")
    writer.kernels.setdefault("conv_shape", kernels.CONV)
    writer.kernels.setdefault("ones", ONES)
    writer.use("planes", PLANES, X=dtype(writer, x))
    writer.kernels.setdefault("append_bits", APPEND)
    signs = gives_signs(node)
    name = writer.use("xnor_conv_signs" if signs else "xnor_conv", kernels.made(CONV, signs=signs), X=dtype(writer, x))
    writer.bits = max(writer.bits, shape[2] * shape[3] * -(-shape[1] // 64) + 2 * words + -(-shape[2] * shape[3] // 8))
    a = node.attributes
    steps = [*ints(node, "strides"), *ints(node, "dilations"), *ints(node, "pads")]
    zeros = [a["x_zero_point"], a["y_zero_point"]]
    fields = [shape[1], *shape[2:], out[1], *out[2:], 1, *taps, *steps, *zeros, int(len(node.rescales[0].m0) > 1), 0]
    return conv_calls(writer, node, name, fields, f"bits, {words}, {a['unit']}")


def matmul(writer: Writer, node: Node) -> list[str]:
    """Computes a product with a constant matrix row by row, by counting bits."""
    x, weight, *bias = node.inputs
    (columns, words), a = writer.tensor(weight).shape, node.attributes
    inner = int(str(a["inner"]))
    rows = math.prod(writer.tensor(x).shape) // inner
    writer.kernels.setdefault("ones", ONES)
    writer.kernels.setdefault("xnor_row", ROW)
    packs = writer.use("pack", PACK, X=dtype(writer, x))
    writer.bits, writer.scratch = max(writer.bits, words), max(writer.scratch, columns)
    given = writer.names[bias[0]] if bias else "0"
    return [
        f"for (int32_t r = 0; r < {rows}; r++) {{",
        f"    {packs}({writer.names[x]} + r * {inner}, 1, {inner}, {a['a_zero_point']}, bits);",
        f"    xnor_row(bits, {writer.names[weight]}, {given}, sums, {words}, {columns}, {inner}, {a['unit']});",
        f"    for (int32_t n = 0; n < {columns}; n++)",
        f"        {writer.names[node.output]}[r * {columns} + n] = {code_of_sum(writer, node)};",
        "}",
    ]
