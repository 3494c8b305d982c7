"""C statements and the kernel of convolutions over three axes."""

from __future__ import annotations

import math
from typing import Final

from qconv.export.c import ends, kernels
from qconv.export.c.layers import conv_calls
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
static void cube@FORM@_@X@_@W@(const @X_T@ *x, const @W_T@ *w, const int32_t *bias, const int32_t *m, const uint8_t *shift,
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


POOL: Final = """
typedef struct {
    int32_t channels, size[3], out[3], kernel[3], stride[3], dilation[3], pad[3], zero_point, whole;
} cube_pool_shape;
"""
POOLS: Final = """
/* The largest code of each window over three axes, or the mean of its codes. */
static void cube_@KIND@_@X@(const @X_T@ *x, @X_T@ *y, const cube_pool_shape *s)
{
    const int32_t plane = s->out[1] * s->out[2];
    for (int32_t c = 0; c < s->channels; c++)
        for (int32_t at = 0; at < s->out[0] * plane; at++) {
            const int32_t place[3] = {at / plane, at / s->out[2] % s->out[1], at % s->out[2]};
            int64_t total = 0, count = 0;
            int32_t most = @LOW@;
            for (int32_t k = 0; k < s->kernel[0] * s->kernel[1] * s->kernel[2]; k++) {
                const int32_t tap[3] = {k / s->kernel[2] / s->kernel[1], k / s->kernel[2] % s->kernel[1], k % s->kernel[2]};
                int32_t from = c, inside = 1;
                for (int32_t axis = 0; axis < 3; axis++) {
                    const int32_t p = place[axis] * s->stride[axis] + tap[axis] * s->dilation[axis] - s->pad[axis];
                    inside = inside && p >= 0 && p < s->size[axis];
                    from = inside ? from * s->size[axis] + p : 0;
                }
                if (inside) {
                    total += (int32_t)x[from] - s->zero_point;
                    most = x[from] > most ? x[from] : most;
                }
                count += inside || s->whole ? 1 : 0;
            }
            @MADE@
        }
}
"""
_MADE: Final = {
    "max_pool": "(void)total, (void)count;\n            *y++ = (@X_T@)most;",
    "average_pool": """(void)most;
            *y++ = (@X_T@)clamp(quotient(total + s->zero_point * count, count), @LOW@, @HIGH@);""",
}


def pool(writer: Writer, node: Node) -> list[str]:
    """Calls a pool over three axes."""
    x, out, a = writer.tensor(node.inputs[0]), writer.tensor(node.output), node.attributes
    writer.kernels.setdefault("cube_pool_shape", POOL)
    if node.op == "average_pool":
        writer.kernels.setdefault("quotient", kernels.QUOTIENT)
    name = writer.use(f"cube_{node.op}", POOLS.replace("@KIND@", node.op).replace("@MADE@", _MADE[node.op]), X=str(x.dtype))
    lists = [x.shape[2:], out.shape[2:], *(ints(node, key) for key in ("kernel", "strides", "dilations", "pads"))]
    listed = [f"{{{', '.join(map(str, values))}}}" for values in lists]
    fields = [math.prod(x.shape[:2]), *listed, a.get("x_zero_point", 0), a.get("counts_padding", 0)]
    return [
        f"static const cube_pool_shape shape = {{{', '.join(map(str, fields))}}};",
        f"{name}({writer.names[node.inputs[0]]}, {writer.names[node.output]}, &shape);",
    ]


def conv(writer: Writer, node: Node) -> list[str]:
    """Calls a convolution over three axes."""
    x, weight = node.inputs[:2]
    shape, taps, out = writer.tensor(x).shape, writer.tensor(weight).shape, writer.tensor(node.output).shape
    form, a = ends.form_of(node), node.attributes
    writer.kernels.setdefault("cube_shape", SHAPE)
    kernel = ends.suffixed("cube", form)
    writer.use(kernel, ends.made(writer, CUBE, form), X=dtype(writer, x), W=dtype(writer, weight))
    writer.patch = max(writer.patch, math.prod(taps[1:]))
    lists = [list(taps[2:]), ints(node, "strides"), ints(node, "dilations"), ints(node, "pads")]
    listed = [f"{{{', '.join(map(str, values))}}}" for values in lists]
    fields = [shape[1], *shape[2:], out[1], *out[2:], a["group"], *listed, a["x_zero_point"], a["y_zero_point"]]
    fields.append(int(len(node.rescales[0].m0) > 1))
    return conv_calls(writer, node, f"{kernel}_{dtype(writer, x)}_{dtype(writer, weight)}", fields, "patch", kind="cube_shape")
