"""The C text of kernels on bits (xnor.py): the differing bits of rows, their signs, windows, and pictures summed by +-1."""

from __future__ import annotations

from typing import Final

COUNTS: Final = """
/* How many bits are one. */
static inline int32_t ones(uint64_t word)
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

/* counts[n]: the bits in which a row and column n of w differ, where `met` is one or absent. Columns are a multiple of 8; the
   words of eight columns lie together, those of the first word first. */
static void counts_of_any(const uint64_t *row, const uint64_t *met, const uint64_t *w, int32_t words, int32_t columns,
                          int32_t *counts)
{
    for (int32_t n = 0; n < columns; n += 4) {
        const uint64_t *own = w + n / 8 * 8 * words + n % 8;
        int32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
        for (int32_t i = 0; i < words; i++, own += 8) {
            const uint64_t a = row[i], here = met ? met[i] : ~UINT64_C(0);
            c0 += ones((a ^ own[0]) & here);
            c1 += ones((a ^ own[1]) & here);
            c2 += ones((a ^ own[2]) & here);
            c3 += ones((a ^ own[3]) & here);
        }
        counts[n] = c0;
        counts[n + 1] = c1;
        counts[n + 2] = c2;
        counts[n + 3] = c3;
    }
}

#ifdef MODEL_X86
__attribute__((target("avx2"))) static void counts_of_avx2(const uint64_t *row, const uint64_t *met, const uint64_t *w,
                                                           int32_t words, int32_t columns, int32_t *counts)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3,
                                           2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15), order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    for (int32_t n = 0; n < columns; n += 4) {
        const uint64_t *const column = w + n / 8 * 8 * words + n % 8;
        __m256i total = _mm256_setzero_si256();
        for (int32_t from = 0; from < words; from += 31) { /* 31 words have 248 bits, which a byte can count */
            const int32_t until = words - from < 31 ? words : from + 31;
            __m256i bytes = _mm256_setzero_si256();
            for (int32_t i = from; i < until; i++) {
                const __m256i own = _mm256_loadu_si256((const __m256i *)(const void *)(column + 8 * i));
                __m256i differing = _mm256_xor_si256(own, _mm256_set1_epi64x((long long)row[i]));
                if (met) differing = _mm256_and_si256(differing, _mm256_set1_epi64x((long long)met[i]));
                const __m256i high = _mm256_and_si256(_mm256_srli_epi16(differing, 4), low);
                bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, _mm256_and_si256(differing, low)));
                bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, high));
            }
            total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        }
        const __m256i found = _mm256_permutevar8x32_epi32(total, order);
        _mm_storeu_si128((__m128i *)(void *)(counts + n), _mm256_castsi256_si128(found));
    }
}

__attribute__((target("avx512f,avx512vpopcntdq"))) static void counts_of_avx512(const uint64_t *row, const uint64_t *met,
                                                                                const uint64_t *w, int32_t words,
                                                                                int32_t columns, int32_t *counts)
{
    for (int32_t n = 0; n < columns; n += 8) {
        __m512i total = _mm512_setzero_si512();
        for (int32_t i = 0; i < words; i++) {
            const __m512i own = _mm512_loadu_si512((const void *)(w + n * words + 8 * i));
            __m512i differing = _mm512_xor_si512(own, _mm512_set1_epi64((long long)row[i]));
            if (met) differing = _mm512_and_si512(differing, _mm512_set1_epi64((long long)met[i]));
            total = _mm512_add_epi64(total, _mm512_popcnt_epi64(differing));
        }
        _mm256_storeu_si256((__m256i *)(void *)(counts + n), _mm512_cvtepi64_epi32(total));
    }
}
#endif

static void counts_of(const uint64_t *row, const uint64_t *met, const uint64_t *w, int32_t words, int32_t columns,
                      int32_t *counts)
{
#ifdef MODEL_X86
    if (__builtin_cpu_supports("avx512vpopcntdq")) {
        counts_of_avx512(row, met, w, words, columns, counts);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        counts_of_avx2(row, met, w, words, columns, counts);
        return;
    }
#endif
    counts_of_any(row, met, w, words, columns, counts);
}
"""
HEAD: Final = """
/* Faster kernels on bits, chosen by what the processor has; the same results. -DMODEL_PORTABLE leaves them out. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(MODEL_PORTABLE)
#define MODEL_X86
#include <immintrin.h>
#endif
"""
SIGNS: Final = """
/* Bit n is one where 2 counts[n] - terms < limit[n]: the sum of +-1 and its bias is positive. */
static void signs_of(const int32_t *counts, const int32_t *limit, int32_t terms, int32_t columns, uint64_t *bits)
{
    for (int32_t from = 0; from < columns; from += 64) {
        uint64_t word = 0;
        int32_t n = columns - from < 64 ? columns : from + 64;
#ifdef MODEL_X86
        for (; n % 4 == 0 && n > from; n -= 4) {
            const __m128i all = _mm_set1_epi32(terms), own = _mm_loadu_si128((const __m128i *)(const void *)(counts + n - 4));
            const __m128i most = _mm_loadu_si128((const __m128i *)(const void *)(limit + n - 4));
            const __m128i below = _mm_cmplt_epi32(_mm_sub_epi32(_mm_add_epi32(own, own), all), most);
            word = (word << 4) | (uint64_t)(uint32_t)_mm_movemask_ps(_mm_castsi128_ps(below));
        }
#endif
        for (; n > from; n--) word = (word << 1) | (uint64_t)(2 * counts[n - 1] - terms < limit[n - 1] ? 1 : 0);
        *bits++ = word;
    }
}
"""
PACK: Final = """
/* Codes as bits in words of 64: one for a code above the middle. */
static void pack_@X@(const @X_T@ *x, int32_t count, int32_t middle, uint64_t *bits)
{
    for (int32_t from = 0; from < count; from += 64) {
        const int32_t until = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        for (int32_t i = 0; i < until; i++) word |= (uint64_t)((int32_t)x[from + i] > middle) << i;
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
WINDOW: Final = """
/* Puts `count` bits behind the first `at` ones of a row that is zero from there on; ones where there is no source. */
static inline void append_bits(uint64_t *row, int32_t at, const uint64_t *source, int32_t count)
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

/* What the window of an output meets, as a row of bits with the channels of each place behind one another. Returns the number of
   them; where there are fewer than the window has, `met` tells which. */
static int32_t window_of(const uint64_t *x, int32_t at, uint64_t *row, uint64_t *met, int32_t words, const conv_shape *s)
{
    const int32_t each = (s->channels + 63) / 64;
    const int32_t top = (at / s->out_width) * s->stride_y - s->pad_y, left = (at % s->out_width) * s->stride_x - s->pad_x;
    const int whole = top >= 0 && top + (s->kernel_height - 1) * s->dilation_y < s->height && left >= 0 &&
                      left + (s->kernel_width - 1) * s->dilation_x < s->width;
    int32_t terms = 0, place = 0;
    for (int32_t i = 0; i < words; i++) row[i] = met[i] = 0;
    for (int32_t ky = 0; ky < s->kernel_height; ky++)
        for (int32_t kx = 0; kx < s->kernel_width; kx++, place += s->channels) {
            const int32_t line = top + ky * s->dilation_y, column = left + kx * s->dilation_x;
            if (line < 0 || line >= s->height || column < 0 || column >= s->width) continue;
            append_bits(row, place, x + (line * s->width + column) * each, s->channels);
            if (!whole) append_bits(met, place, 0, s->channels);
            terms += s->channels;
        }
    return terms;
}
"""
LANES: Final = 32  # places of a row that are summed at once
LANE_SUMS: Final = """
/* Bit n of found[j], j < 32, is one where limit[n] - sum over t of w[n][t] patch[at[t] + j] is below zero; n < count <= 16. */
static void lane_sums(const int16_t *patch, const int8_t *w, const int16_t *limit, const int32_t *at, int32_t taps,
                      int32_t count, uint16_t *found)
{
#if (defined(__SSE2__) || defined(__ARM_NEON)) && !defined(MODEL_PORTABLE)
    typedef int16_t lanes __attribute__((vector_size(16)));
    typedef uint16_t marks __attribute__((vector_size(16)));
    marks marked[4] = {{0}, {0}, {0}, {0}};
    for (int32_t n = 0; n < count; n++) {
        const int16_t l = limit[n];
        lanes a = {l, l, l, l, l, l, l, l}, b = a, c = a, d = a;
        for (int32_t t = 0; t < taps; t++) {
            const int16_t factor = w[n * taps + t];
            lanes from[4];
            memcpy(from, patch + at[t], sizeof from);
            a -= factor * from[0];
            b -= factor * from[1];
            c -= factor * from[2];
            d -= factor * from[3];
        }
        marked[0] |= ((marks)a >> 15) << n;
        marked[1] |= ((marks)b >> 15) << n;
        marked[2] |= ((marks)c >> 15) << n;
        marked[3] |= ((marks)d >> 15) << n;
    }
    memcpy(found, marked, sizeof marked);
#else
    for (int32_t j = 0; j < 32; j += 4) {
        uint32_t marked[4] = {0, 0, 0, 0};
        for (int32_t n = 0; n < count; n++) {
            int32_t a = limit[n], b = a, c = a, d = a;
            for (int32_t t = 0; t < taps; t++) {
                const int32_t factor = w[n * taps + t];
                const int16_t *const from = patch + at[t] + j;
                a -= factor * from[0];
                b -= factor * from[1];
                c -= factor * from[2];
                d -= factor * from[3];
            }
            marked[0] |= ((uint32_t)a >> 31) << n;
            marked[1] |= ((uint32_t)b >> 31) << n;
            marked[2] |= ((uint32_t)c >> 31) << n;
            marked[3] |= ((uint32_t)d >> 31) << n;
        }
        for (int32_t i = 0; i < 4; i++) found[j + i] = (uint16_t)marked[i];
    }
#endif
}
"""
PICTURE: Final = """
/* Signs of sums of codes by +-1 as bits of each place, 16 maps and 32 places at a time; some padded rows lie one behind another
   as a single one, and `at` tells where in them each term of a window begins. */
static void picture_signs_@X@(const @X_T@ *x, const int8_t *w, const int16_t *limit, const int32_t *at, uint64_t *y,
                              int16_t *patch, const conv_shape *s)
{
    const int32_t wide = s->out_width + (s->kernel_width - 1) * s->dilation_x, each = (s->outputs + 63) / 64;
    const int32_t deep = s->band + (s->kernel_height - 1) * s->dilation_y, z = s->x_zero_point;
    const int32_t taps = s->channels * s->kernel_height * s->kernel_width;
    for (int32_t i = 0; i < s->out_height * s->out_width * each; i++) y[i] = 0;
    for (int32_t first = 0; first < s->out_height; first += s->band) {
        const int32_t rows = s->out_height - first < s->band ? s->out_height - first : s->band;
        for (int32_t i = 0; i < s->channels * deep; i++) {
            const int32_t line = first - s->pad_y + i % deep;
            const int32_t from = (i / deep * s->height + line) * s->width - s->pad_x;
            const int inside = line >= 0 && line < s->height;
            for (int32_t k = 0; k < wide; k++)
                patch[i * wide + k] = (int16_t)(inside && k >= s->pad_x && k < s->width + s->pad_x ? x[from + k] - z : 0);
        }
        for (int32_t o = 0; o < s->outputs; o += 16)
            for (int32_t start = 0; start < rows * wide; start += 32) {
                uint16_t found[32];
                const int32_t count = s->outputs - o < 16 ? s->outputs - o : 16;
                lane_sums(patch + start, w + o * taps, limit + o, at, taps, count, found);
                for (int32_t j = 0; j < 32 && start + j < rows * wide; j++) {
                    const int32_t row = (start + j) / wide, column = (start + j) % wide;
                    if (column < s->out_width)
                        y[((first + row) * s->out_width + column) * each + o / 64] |= (uint64_t)found[j] << (o % 64);
                }
            }
    }
}
"""
