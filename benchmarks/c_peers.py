"""The C of an integer model beside that of emx-onnx-cgen: time, flash and RAM on this machine.

Usage: python -m benchmarks.c_peers model.int8.onnx ... [--generator emx-onnx-cgen]
Needs cc, and emx-onnx-cgen in an environment of its own (pip install emx-onnx-cgen).

Both programs run in turn, and the best time of each counts. Flash is that of a program for a Cortex-M4 under -Os, with what it
calls from libraries and without an empty program, where arm-none-eabi-gcc is installed. RAM is static data, the most that malloc
has given at one time, and what is written of a stack that was painted before. Theirs quantizes and dequantizes in the call; ours
is given codes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.page import line
from qconv import pipeline
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from qconv.model.load import load
from qconv.model.save import save

FLAGS = ("-O2", "-O3", "-O3 -march=native")
_TURNS = 5
_MAIN = """
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
%(include)s
void *__real_malloc(size_t size);
void __real_free(void *block);
static size_t held, most;
void *__wrap_malloc(size_t size)
{
    size_t *block = __real_malloc(size + 16);
    *block = size;
    held += size;
    if (held > most) most = held;
    return block + 2;
}
void __wrap_free(void *given)
{
    size_t *block = (size_t *)given - 2;
    held -= *block;
    __real_free(block);
}
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec * 1e-6; }
%(kind)s in[1 << 20], out[1 << 20]; /* not static, so that no run is left out */
static void *once(void *unused) { %(call)s; return unused; }
enum { STACK = 1 << 22 };
static size_t stack_of(void *(*work)(void *))
{
    unsigned char *stack = aligned_alloc(4096, STACK);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t free_ = 0;
    memset(stack, 0xA5, STACK);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK);
    if (pthread_create(&thread, &attributes, work, NULL) != 0) return 0;
    pthread_join(thread, NULL);
    while (free_ < STACK && stack[free_] == 0xA5) free_++;
    return STACK - free_;
}
static void *idle(void *unused) { return unused; }
int main(void)
{
    for (int i = 0; i < 1 << 20; i++) in[i] = (%(kind)s)(i * 37 %% 256 / %(step)s);
    const size_t stack = stack_of(once) - stack_of(idle);
    double best = 1e9;
    for (int run = 0; run < 200; run++) {
        const double start = now();
        %(call)s;
        const double end = now();
        if (end - start < best) best = end - start;
    }
    printf("%%.5f %%zu %%zu\\n", best, most, stack);
    return 0;
}
"""


@dataclass(frozen=True)
class Side:
    """One generator: its sources in a folder, and how its function is called."""

    name: str
    folder: Path
    sources: tuple[str, ...]
    include: str
    call: str
    kind: str

    def build(self, flags: str) -> Path:
        """The program that times a run. Raises CalledProcessError where it cannot be compiled."""
        words = {"include": self.include, "call": self.call, "kind": self.kind, "step": "256.0f" if self.kind == "float" else "1"}
        (self.folder / "bench.c").write_text(_MAIN % words)
        program = self.folder / f"bench{re.sub('[^a-zA-Z0-9]', '', flags)}"
        wrapped = ["-Wl,--wrap=malloc,--wrap=free", "-lm", "-lpthread"]
        command = ["cc", "-std=gnu11", "-w", *flags.split(), "-o", str(program), "bench.c", *self.sources, *wrapped]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return program

    def flash(self) -> int | None:
        """Bytes of code and constants on a Cortex-M4 with what is called from libraries; None without its compiler."""
        if shutil.which("arm-none-eabi-gcc") is None:
            return None
        body = f"{self.include}\n{self.kind} in[4096], out[4096];\nint main(void) {{ {self.call}; return 0; }}\n"
        found = []
        for name, text, sources in (("main.c", body, self.sources), ("none.c", "int main(void) { return 0; }\n", ())):
            (self.folder / name).write_text(f"#include <stddef.h>\n#include <stdint.h>\n{text}")
            flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-w", "-std=gnu11", "-ffunction-sections", "-fdata-sections"]
            link = ["-Wl,--gc-sections", "--specs=nano.specs", "--specs=nosys.specs", "-o", "chip.elf", name, *sources, "-lm"]
            subprocess.run(["arm-none-eabi-gcc", *flags, *link], cwd=self.folder, check=True, capture_output=True)
            found.append(_sections(self.folder, "arm-none-eabi-size", "chip.elf")[0])
        return found[0] - found[1]

    def static(self) -> int:
        """Bytes of static data on this machine."""
        names = self.sources or ("m.c",)
        subprocess.run(["cc", "-w", "-Os", "-c", *names], cwd=self.folder, check=True)
        return sum(_sections(self.folder, "size", str(Path(name).with_suffix(".o")))[1] for name in names)


def _sections(folder: Path, tool: str, name: str) -> tuple[int, int]:
    """Bytes in flash, and bytes of static data."""
    text = subprocess.run([tool, name], cwd=folder, check=True, capture_output=True, text=True).stdout
    code, data, zeroed = (int(number) for number in text.splitlines()[1].split()[:3])
    return code + data, data + zeroed


def sides(model: Path, folder: Path, generator: str) -> tuple[Side, Side]:
    """Ours and theirs, generated from the same integer model."""
    pipeline.export(model, "c", folder / "ours")
    (folder / "theirs").mkdir()
    _sized(model, folder / "theirs" / "m.onnx")
    command = [generator, "compile", "--model-name", "m", str(folder / "theirs" / "m.onnx"), str(folder / "theirs" / "m.c")]
    subprocess.run(command, check=True, capture_output=True)
    (given,) = re.findall(r"^void m\((.*)\) \{", (folder / "theirs" / "m.c").read_text(), re.MULTILINE)
    words = ["1" if part.startswith("int ") else "(void *)in" if part.startswith("const ") else "(void *)out"
             for part in re.split(r", (?=int |const |float )", given)]  # fmt: skip
    ours = Side(
        "ours", folder / "ours", ("model.c", "weights.c"), '#include "model.h"', "model_run((void *)in, (void *)out)", "uint8_t"
    )
    return ours, Side("emx-onnx-cgen", folder / "theirs", (), '#include "m.c"', f"m({', '.join(words)})", "float")


def _sized(model: Path, target: Path) -> None:
    """The same model with the type and the shape of every tensor for one sample, which their generator wants."""
    loaded = load(model).ir
    for value in loaded.graph.inputs:
        value.shape = ir.Shape([size if isinstance(size, int) else 1 for size in value.shape or ()])
    feeds = {
        str(v.name): np.zeros(v.shape.numpy(), v.dtype.numpy())
        for v in loaded.graph.inputs
        if v.shape is not None and v.dtype is not None
    }
    arrays = Executor(Program.read(loaded)).run(feeds)
    for node in loaded.graph:
        for value in node.outputs:
            array = arrays[str(value.name)]
            value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    save(loaded, target)


def rows(model: Path, generator: str) -> list[Sequence[str]]:
    """For each set of flags and each side the time, for each side the sizes."""
    found: list[Sequence[str]] = []
    with tempfile.TemporaryDirectory() as name:
        both = sides(model, Path(name), generator)
        sizes = [(side.flash(), side.static()) for side in both]
        for flags in FLAGS:
            programs = [side.build(flags) for side in both]
            runs: list[list[list[float]]] = [[], []]
            for _ in range(_TURNS):
                for place, program in enumerate(programs):
                    text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
                    runs[place].append([float(number) for number in text.split()])
            for side, size, taken in zip(both, sizes, runs, strict=True):
                best = min(run[0] for run in taken)
                ram = size[1] + int(max(run[1] + run[2] for run in taken))
                found.append(
                    [model.name, side.name, flags, f"{best:.4f} ms", "-" if size[0] is None else f"{size[0]:,}", f"{ram:,}"]
                )
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--generator", default="emx-onnx-cgen")
    given = parser.parse_args()
    print(line(["model", "C of", "flags", "best time", "flash", "RAM"]) + "\n|---|---|---|---:|---:|---:|")
    for model in given.models:
        for row in rows(model, given.generator):
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
