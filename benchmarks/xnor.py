"""Products of -1 and +1 by bits against the plain int8 kernels of the same C: a dense layer of 4096 x 4096, and whole networks.

Usage: python -m benchmarks.xnor [model.int8.onnx ...]; needs cc, and clang for its rows.

Both sides run in turn on random codes, and the best time of each counts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.page import line
from qconv.export.c import bit_kernels, kernels
from qconv.export.c.source import write_sources
from qconv.export.c.writer import Writer
from qconv.export.network import Network
from qconv.export.trace import network_of
from qconv.model.load import load

SIZE = 4096
FLAGS = ("-O2", "-O2 -mpopcnt", "-O3", "-O3 -march=native", "-O2 -DMODEL_PORTABLE", "-O2 -DMODEL_PORTABLE -mpopcnt")
_NOW = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec * 1e-6; }
"""
_DENSE = """
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
            p[(size_t)(n / 8 * WORDS + k / 64) * 8 + n %% 8] |= (uint64_t)up << (k %% 64);
        }
    double best[2] = {1e9, 1e9};
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        row_uint8_int8(x, w, 0, plain, N, N, 2, 0);
        double middle = now();
        pack_uint8(x, N, 2, packed);
        counts_of(packed, 0, p, WORDS, N, counted);
        for (int n = 0; n < N; n++) counted[n] = 2 * (N - 2 * counted[n]);
        double end = now();
        if (middle - start < best[0]) best[0] = middle - start;
        if (end - middle < best[1]) best[1] = end - middle;
    }
    for (int n = 0; n < N; n++) if (plain[n] != counted[n]) return 1;
    printf("%%f %%f\\n", best[0], best[1]);
    return 0;
}
"""
_NETWORK = """
#include "model.h"
int main(void)
{
    static uint8_t in[1 << 20], out[1 << 20];
    double best = 1e9;
    for (int i = 0; i < 1 << 20; i++) in[i] = (uint8_t)rand();
    for (int run = 0; run < 2000; run++) {
        const double start = now();
        model_run((void *)in, (void *)out);
        const double end = now();
        if (end - start < best) best = end - start;
    }
    printf("%f\\n", best);
    return 0;
}
"""


def dense(compiler: str, flags: str, folder: Path) -> list[float]:
    """Milliseconds of the plain and of the counted product of a row and a matrix."""
    writer = Writer(Network({}, [], [], [], {}), {}, {}, "model")
    writer.use("row", kernels.MATMUL, A="uint8", B="int8")
    writer.kernels |= {"head": bit_kernels.HEAD, "counts_of": bit_kernels.COUNTS}
    writer.use("pack", bit_kernels.PACK, X="uint8")
    (folder / "dense.c").write_text(re.sub(r"\n{3,}", "\n\n", _NOW + "\n".join(writer.kernels.values()) + _DENSE % SIZE))
    return _run([compiler, *flags.split(), "dense.c"], folder)


def whole(model: Path, compiler: str, flags: str, folder: Path) -> list[float]:
    """Milliseconds of a network by plain products and by bits, in turn."""
    network = network_of(load(model).ir)
    best = [1e9, 1e9]
    for side in (0, 1):
        own = folder / f"{model.stem}{side}"
        own.mkdir(exist_ok=True)
        for name, text in write_sources(network, "", [], bits=bool(side)).files.items():
            (own / name).write_text(text)
        (own / "bench.c").write_text(_NOW + _NETWORK)
    for _ in range(3):
        for side in (0, 1):
            command = [compiler, *flags.split(), "bench.c", "model.c", "weights.c"]
            best[side] = min(best[side], *_run(command, folder / f"{model.stem}{side}"))
    return best


def _run(command: list[str], folder: Path) -> list[float]:
    subprocess.run([*command, "-std=gnu99", "-Wno-unused-function", "-o", "bench"], cwd=folder, check=True)
    return [float(word) for word in subprocess.run(["./bench"], cwd=folder, check=True, capture_output=True).stdout.split()]


def main(models: list[str]) -> None:
    """Prints a table."""
    print(line(["what", "compiler", "flags", "plain", "bits", "ratio"]) + "\n|---|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        for compiler in filter(shutil.which, ("gcc", "clang")):
            for flags in FLAGS:
                times = {f"dense {SIZE} x {SIZE}": dense(compiler, flags, Path(name))}
                times |= {Path(model).name: whole(Path(model), compiler, flags, Path(name)) for model in models}
                for what, (plain, bits) in times.items():
                    print(line([what, compiler, flags, f"{plain:.4f} ms", f"{bits:.4f} ms", f"{plain / bits:.1f}"]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
