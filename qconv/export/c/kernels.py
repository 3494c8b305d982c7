"""The C text of the kernels; only those that a network uses are written."""

from __future__ import annotations

from typing import Final

HEAD: Final = """
/* round(acc * m * 2^-shift), halves to even; 1 <= shift <= 61 and |acc * m| < 2^61. */
static inline int64_t rescale(int64_t product, int shift)
{
    const int64_t odd = (product >> shift) & 1; /* a half goes up from an odd number only */
    return (product + ((int64_t)1 << (shift - 1)) - 1 + odd) >> shift;
}

static inline int32_t clamp(int64_t code, int32_t low, int32_t high)
{
    return code < low ? low : (code > high ? high : (int32_t)code);
}
"""

CONV: Final = """
typedef struct {
    int32_t channels, height, width, outputs, out_height, out_width, group;
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    int32_t x_zero_point, y_zero_point, per_channel, band;
} conv_shape;
"""

DENSE: Final = """
/* One position of the output at a time: what its window meets lies in a row, which serves all output channels, four at once. */
static void conv@FORM@_@X@_@W@(const @X_T@ *x, const @W_T@ *w, const int32_t *bias, const int32_t *m, const uint8_t *shift,
                     @X_T@ *y, int16_t *patch, const conv_shape *s)
{
@START@    const int32_t in_group = s->channels / s->group, out_group = s->outputs / s->group;
    const int32_t size = in_group * s->kernel_height * s->kernel_width, map = s->out_height * s->out_width;
    for (int32_t g = 0; g < s->group; g++) {
        const @X_T@ *const input = x + g * in_group * s->height * s->width;
        for (int32_t at = 0; at < map; at++) {
            const int32_t top = (at / s->out_width) * s->stride_y - s->pad_y;
            const int32_t left = (at % s->out_width) * s->stride_x - s->pad_x;
            int16_t *next = patch;
            for (int32_t c = 0; c < in_group; c++)
                for (int32_t ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t line = top + ky * s->dilation_y;
                    const int inside = line >= 0 && line < s->height;
                    const int32_t base = (c * s->height + line) * s->width;
                    for (int32_t kx = 0; kx < s->kernel_width; kx++) {
                        const int32_t column = left + kx * s->dilation_x;
                        const int meets = inside && column >= 0 && column < s->width;
                        *next++ = (int16_t)(meets ? (int32_t)input[base + column] - s->x_zero_point : 0);
                    }
                }
            for (int32_t o = g * out_group; o < (g + 1) * out_group; o += 4) {
                const int32_t count = (g + 1) * out_group - o < 4 ? (g + 1) * out_group - o : 4;
                const @W_T@ *const w0 = w + o * size;
                const @W_T@ *const w1 = count > 1 ? w0 + size : w0;
                const @W_T@ *const w2 = count > 2 ? w1 + size : w0;
                const @W_T@ *const w3 = count > 3 ? w2 + size : w0;
                int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                for (int32_t k = 0; k < size; k++) {
                    s0 += patch[k] * w0[k];
                    s1 += patch[k] * w1[k];
                    s2 += patch[k] * w2[k];
                    s3 += patch[k] * w3[k];
                }
                const int32_t sums[4] = {s0, s1, s2, s3};
                for (int32_t i = 0; i < count; i++) {
                    const int32_t own = s->per_channel ? o + i : 0;
                    const int32_t sum = sums[i] + (bias ? bias[o + i] : 0);
                    y[(o + i) * map + at] = @CODE@;
                }
            }
        }
    }
}
"""

DEPTHWISE: Final = """
/* Some rows of a map at a time, with their padding, serve all output channels that read it. Without strides they lie behind one
   another as a single long row; sums between two rows are not used. */
static void rows@FORM@_@X@_@W@(const @X_T@ *x, const @W_T@ *w, const int32_t *bias, const int32_t *m, const uint8_t *shift,
                     @X_T@ *y, int32_t *sums, int16_t *patch, const conv_shape *s)
{
@START@    const int32_t out_group = s->outputs / s->group, taps = s->kernel_height * s->kernel_width, stride = s->stride_x;
    const int32_t wide = (s->out_width - 1) * stride + (s->kernel_width - 1) * s->dilation_x + 1, z = s->x_zero_point;
    const int32_t left = s->pad_x < wide ? s->pad_x : wide, right = s->width + left < wide ? s->width + left : wide;
    for (int32_t g = 0; g < s->group; g++)
        for (int32_t first = 0; first < s->out_height; first += s->band) {
            const int32_t rows = s->out_height - first < s->band ? s->out_height - first : s->band;
            const int32_t lines = (rows - 1) * s->stride_y + (s->kernel_height - 1) * s->dilation_y + 1;
            for (int32_t i = 0; i < lines; i++) {
                const int32_t line = first * s->stride_y - s->pad_y + i;
                int16_t *const to = patch + i * wide;
                if (line < 0 || line >= s->height) {
                    for (int32_t k = 0; k < wide; k++) to[k] = 0;
                    continue;
                }
                const @X_T@ *const from = x + (g * s->height + line) * s->width;
                for (int32_t k = 0; k < left; k++) to[k] = 0;
                for (int32_t k = left; k < right; k++) to[k] = (int16_t)(from[k - left] - z);
                for (int32_t k = right; k < wide; k++) to[k] = 0;
            }
            const int32_t joined = stride == 1 && s->stride_y == 1 ? rows : 1, length = (joined - 1) * wide + s->out_width;
            for (int32_t o = g * out_group; o < (g + 1) * out_group; o++) {
                const int32_t start = bias ? bias[o] : 0;
                const int32_t own = s->per_channel ? o : 0;
                @X_T@ *out = y + (o * s->out_height + first) * s->out_width;
                for (int32_t row = 0; row < rows; row += joined) {
                    const @W_T@ *weight = w + o * taps;
                    for (int32_t i = 0; i < length; i++) sums[i] = start;
                    for (int32_t ky = 0; ky < s->kernel_height; ky++)
                        for (int32_t kx = 0; kx < s->kernel_width; kx++) {
                            const int16_t factor = *weight++;
                            const int16_t *const from =
                                patch + (row * s->stride_y + ky * s->dilation_y) * wide + kx * s->dilation_x;
                            if (stride == 1)
                                for (int32_t i = 0; i < length; i++) sums[i] += factor * from[i];
                            else
                                for (int32_t i = 0; i < length; i++) sums[i] += factor * from[i * stride];
                        }
                    for (int32_t r = 0; r < joined; r++)
                        for (int32_t column = 0; column < s->out_width; column++) {
                            const int32_t sum = sums[r * wide + column];
                            *out++ = @CODE@;
                        }
                }
            }
        }
}
"""

MATMUL: Final = """
/* sums[n] = bias[n] + sum over k of (a[k] - za)(b[k][n] - zb), row by row of b. */
static void row_@A@_@B@(const @A_T@ *a, const @B_T@ *b, const int32_t *bias, int32_t *sums, int32_t inner, int32_t columns,
                        int32_t za, int32_t zb)
{
    for (int32_t n = 0; n < columns; n++) sums[n] = bias ? bias[n] : 0;
    for (int32_t k = 0; k < inner; k++) {
        const int32_t left = (int32_t)a[k] - za;
        const @B_T@ *row = b + k * columns;
        if (left != 0)
            for (int32_t n = 0; n < columns; n++) sums[n] += left * ((int32_t)row[n] - zb);
    }
}
"""

SOFTMAX: Final = """
/* Positive float32 numbers as mantissa and exponent, rounded as the IEEE operations are. */
typedef struct { uint32_t mantissa; int32_t exponent; } soft;

static soft soft_of(uint32_t bits)
{
    const uint32_t field = bits >> 23;
    soft found = {bits & 0x7FFFFFu, field ? (int32_t)field : 1};
    if (field) found.mantissa |= 0x800000u;
    return found;
}

/* value * 2^exponent with a sticky lowest bit, rounded to 24 bits. */
static soft soft_rounded(uint64_t value, int32_t exponent)
{
    soft found = {0, exponent};
    int shift = 0;
    if (value == 0) return found;
    while ((value >> shift) >= 0x1000000u) shift++;
    if (shift > 0) {
        const uint64_t rest = value & (((uint64_t)1 << shift) - 1), half = (uint64_t)1 << (shift - 1);
        value >>= shift;
        if (rest > half || (rest == half && (value & 1u) != 0)) value++;
    }
    found.mantissa = (uint32_t)value;
    found.exponent = exponent + shift;
    if (found.mantissa == 0x1000000u) {
        found.mantissa >>= 1;
        found.exponent++;
    }
    while (found.mantissa < 0x800000u && found.exponent > 1) {
        found.mantissa <<= 1;
        found.exponent--;
    }
    return found;
}

static soft soft_sum(soft a, soft b)
{
    if (a.exponent < b.exponent) {
        const soft other = a;
        a = b;
        b = other;
    }
    const int32_t distance = a.exponent - b.exponent;
    const uint64_t large = (uint64_t)a.mantissa << 32;
    uint64_t small = (uint64_t)b.mantissa << 32;
    if (distance > 60) {
        small = small != 0;
    } else if (distance > 0) {
        const uint64_t lost = small & (((uint64_t)1 << distance) - 1);
        small = (small >> distance) | (lost != 0);
    }
    return soft_rounded(large + small, a.exponent - 32);
}

/* round(t steps / total), halves to even; t is a part of the total. */
static int32_t soft_share(soft t, uint32_t steps, soft total)
{
    const int32_t distance = total.exponent - t.exponent;
    const uint64_t part = (uint64_t)t.mantissa * steps;
    if (distance > 20) return 0; /* below a half */
    const uint64_t whole = (uint64_t)total.mantissa << (distance > 0 ? distance : 0);
    const uint64_t floored = part / whole, twice = 2 * (part - floored * whole);
    return (int32_t)(floored + ((twice > whole || (twice == whole && (floored & 1u) != 0)) ? 1 : 0));
}

static void softmax_@X@(const @X_T@ *x, const uint32_t *table, @X_T@ *y, int32_t outer, int32_t size, int32_t inner,
                        uint32_t steps, int32_t zero_point)
{
    for (int32_t o = 0; o < outer; o++) {
        for (int32_t i = 0; i < inner; i++) {
            const @X_T@ *row = x + o * size * inner + i;
            @X_T@ *out = y + o * size * inner + i;
            int32_t most = @LOW@;
            for (int32_t k = 0; k < size; k++) most = row[k * inner] > most ? (int32_t)row[k * inner] : most;
            soft total = soft_of(table[255 - most + row[0]]);
            for (int32_t k = 1; k < size; k++) total = soft_sum(total, soft_of(table[255 - most + row[k * inner]]));
            for (int32_t k = 0; k < size; k++) {
                const int32_t share = soft_share(soft_of(table[255 - most + row[k * inner]]), steps, total);
                out[k * inner] = (@X_T@)clamp((int64_t)share + zero_point, @LOW@, @HIGH@);
            }
        }
    }
}
"""

POOL: Final = """
typedef struct {
    int32_t channels, height, width, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x, zero_point, whole;
} pool_shape;

static void max_pool_@X@(const @X_T@ *x, @X_T@ *y, const pool_shape *s)
{
    for (int32_t c = 0; c < s->channels; c++)
        for (int32_t row = 0; row < s->out_height; row++)
            for (int32_t column = 0; column < s->out_width; column++) {
                int32_t most = @LOW@;
                for (int32_t ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t line = row * s->stride_y + ky * s->dilation_y - s->pad_y;
                    if (line < 0 || line >= s->height) continue;
                    for (int32_t kx = 0; kx < s->kernel_width; kx++) {
                        const int32_t at = column * s->stride_x + kx * s->dilation_x - s->pad_x;
                        if (at < 0 || at >= s->width) continue;
                        const int32_t value = x[(c * s->height + line) * s->width + at];
                        most = value > most ? value : most;
                    }
                }
                *y++ = (@X_T@)most;
            }
}
"""
QUOTIENT: Final = """
static int64_t quotient(int64_t numerator, int64_t denominator)
{
    int64_t floored = numerator / denominator;
    if (floored * denominator > numerator) floored--;
    const int64_t twice = 2 * (numerator - floored * denominator);
    return floored + ((twice > denominator || (twice == denominator && (floored & 1) != 0)) ? 1 : 0);
}
"""
AVERAGE: Final = """
static void average_pool_@X@(const @X_T@ *x, @X_T@ *y, const pool_shape *s)
{
    for (int32_t c = 0; c < s->channels; c++)
        for (int32_t row = 0; row < s->out_height; row++)
            for (int32_t column = 0; column < s->out_width; column++) {
                int64_t sum = 0, count = 0;
                for (int32_t ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t line = row * s->stride_y + ky * s->dilation_y - s->pad_y;
                    for (int32_t kx = 0; kx < s->kernel_width; kx++) {
                        const int32_t at = column * s->stride_x + kx * s->dilation_x - s->pad_x;
                        const int inside = line >= 0 && line < s->height && at >= 0 && at < s->width;
                        if (inside) sum += (int32_t)x[(c * s->height + line) * s->width + at] - s->zero_point;
                        count += (inside || s->whole) ? 1 : 0;
                    }
                }
                *y++ = (@X_T@)clamp(quotient(sum + s->zero_point * count, count), @LOW@, @HIGH@);
            }
}
"""
