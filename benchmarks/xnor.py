"""Products of -1 and +1 by bits against the plain int8 kernel of the same C: a dense layer of 4096 x 4096.

Usage: python -m benchmarks.xnor [flags for the compiler]; needs cc.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from qconv.export.c import bits, kernels
from qconv.export.network import Network

SIZE = 4096

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
%s
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec * 1e-6; }
int main(void)
{
    enum { N = %d, WORDS = N / 64, RUNS = 20 };
    uint8_t *x = malloc(N); int8_t *w = malloc((size_t)N * N); uint64_t *p = calloc((size_t)N * WORDS, 8);
    int32_t *plain = malloc(4 * N), *counted = malloc(4 * N); uint64_t packed[WORDS];
    for (int k = 0; k < N; k++) x[k] = rand() & 1 ? 3 : 1;
    for (int k = 0; k < N; k++)
        for (int n = 0; n < N; n++) {
            const int up = rand() >> 7 & 1;
            w[(size_t)k * N + n] = up ? 2 : -2;
            p[(size_t)n * WORDS + k / 64] |= (uint64_t)up << (k %% 64);
        }
    double best[2] = {1e9, 1e9};
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        row_uint8_int8(x, w, 0, plain, N, N, 2, 0);
        double middle = now();
        pack_uint8(x, 1, N, 2, packed);
        xnor_row(packed, p, 0, counted, WORDS, N, N, 2);
        double end = now();
        if (middle - start < best[0]) best[0] = middle - start;
        if (end - middle < best[1]) best[1] = end - middle;
    }
    int wrong = 0;
    for (int n = 0; n < N; n++) wrong += plain[n] != counted[n];
    printf("plain %%.3f ms, bits %%.3f ms, ratio %%.1f, %%d sums differ\\n", best[0], best[1], best[0] / best[1], wrong);
    return wrong != 0;
}
"""


def main() -> None:
    """Prints the best of twenty runs of both."""
    from qconv.export.c.writer import Writer

    writer = Writer(Network({}, [], [], [], {}), {}, {})
    writer.use("row", kernels.MATMUL, A="uint8", B="int8")
    writer.kernels["ones"], writer.kernels["xnor_row"] = bits.ONES, bits.ROW
    writer.use("pack", bits.PACK, X="uint8")
    flags = sys.argv[1:] or ["-O3", "-march=native"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "bench.c", Path(folder) / "bench"
        source.write_text(_MAIN % (re.sub(r"\n{3,}", "\n\n", "\n".join(writer.kernels.values())), SIZE))
        subprocess.run(["cc", "-std=gnu99", "-Wno-unused-function", *flags, "-o", program, source], check=True)
        print(" ".join(flags), subprocess.run([program], check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
