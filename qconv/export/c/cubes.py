"""C statements and the kernel of convolutions over three axes."""

from __future__ import annotations

import math
from typing import Final

from qconv.export.c import kernels
from qconv.export.c.layers import conv_calls, gives_signs
from qconv.export.c.writer import Writer, dtype, ints
from qconv.export.network import Node

SHAPE: Final = """
typedef struct {
    int32_t channels, depth, height, width, outputs, out_depth, out_height, out_width, group;
    int32_t kernel[3], stride[3], dilation[3], pad[3], x_zero_point, y_zero_point, per_channel;
} cube_shape;
"""
CUBE: Final = """
/* One position of the output at a time: what its window meets lies in a row, which serves all output channels. */
static void cube@SIGNS@_@X@(const @X_T@ *x, const @W_T@ *w, const int32_t *bias, const int32_t *m, const uint8_t *shift,
                     @X_T@ *y, int16_t *patch, const cube_shape *s)
{
@START@    const int32_t in_group = s->channels / s->group, out_group = s->outputs / s->group, area = s->height * s->width;
    const int32_t size = in_group * s->kernel[0] * s->kernel[1] * s->kernel[2];
    const int32_t plane = s->out_height * s->out_width, volume = s->out_depth * plane;
    for (int32_t g = 0; g < s->group; g++)
        for (int32_t at = 0; at < volume; at++) {
            const int32_t front = at / plane * s->stride[0] - s->pad[0];
            const int32_t top = at % plane / s->out_width * s->stride[1] - s->pad[1];
            const int32_t left = at % s->out_width * s->stride[2] - s->pad[2];
            int16_t *next = patch;
            for (int32_t c = g * in_group; c < (g + 1) * in_group; c++)
                for (int32_t kz = 0; kz < s->kernel[0]; kz++)
                    for (int32_t ky = 0; ky < s->kernel[1]; ky++) {
                        const int32_t slice = front + kz * s->dilation[0], line = top + ky * s->dilation[1];
                        const int inside = slice >= 0 && slice < s->depth && line >= 0 && line < s->height;
                        const int32_t base = (c * s->depth + slice) * area + line * s->width;
                        for (int32_t kx = 0; kx < s->kernel[2]; kx++) {
                            const int32_t column = left + kx * s->dilation[2];
                            const int meets = inside && column >= 0 && column < s->width;
                            *next++ = (int16_t)(meets ? (int32_t)x[base + column] - s->x_zero_point : 0);
                        }
                    }
            for (int32_t o = g * out_group; o < (g + 1) * out_group; o++) {
                const int32_t own = s->per_channel ? o : 0;
                int32_t sum = bias ? bias[o] : 0;
                for (int32_t k = 0; k < size; k++) sum += patch[k] * w[o * size + k];
                y[o * volume + at] = @CODE@;
            }
        }
}
"""


def conv(writer: Writer, node: Node) -> list[str]:
    """Calls a convolution over three axes."""
    x, weight = node.inputs[:2]
    shape, taps, out = writer.tensor(x).shape, writer.tensor(weight).shape, writer.tensor(node.output).shape
    signs, a = gives_signs(node), node.attributes
    writer.kernels.setdefault("cube_shape", SHAPE)
    kernel = "cube_signs" if signs else "cube"
    writer.use(kernel, kernels.made(CUBE, signs=signs), X=dtype(writer, x), W=dtype(writer, weight))
    writer.patch = max(writer.patch, math.prod(taps[1:]))
    lists = [list(taps[2:]), ints(node, "strides"), ints(node, "dilations"), ints(node, "pads")]
    listed = [f"{{{', '.join(map(str, values))}}}" for values in lists]
    fields = [shape[1], *shape[2:], out[1], *out[2:], a["group"], *listed, a["x_zero_point"], a["y_zero_point"]]
    fields.append(int(len(node.rescales[0].m0) > 1))
    return conv_calls(writer, node, f"{kernel}_{dtype(writer, x)}", fields, "patch", kind="cube_shape")
