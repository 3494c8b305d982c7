"""The C of a network on emulated microcontrollers: bytes, instructions per inference, flash and RAM.

Usage: python -m benchmarks.chips model.int8.onnx [--data samples.npz]
Needs arm-none-eabi-gcc with newlib, and qemu-system-arm (Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm).

Programs for a Cortex-M0+ run on an emulated Cortex-M3, which knows all their instructions. One instruction takes a nanosecond of
the emulator's time, and the board's timer has 25 MHz, so that counts are exact to 40 instructions.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qconv import pipeline

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
CHIPS = {
    "Cortex-M0+": ("cortex-m0plus", "mps2-an385"),
    "Cortex-M3": ("cortex-m3", "mps2-an385"),
    "Cortex-M4": ("cortex-m4", "mps2-an386"),
    "Cortex-M7": ("cortex-m7", "mps2-an500"),
}
_SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0x0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.ARM.ex*) . = ALIGN(8); } > FLASH
  .data : { data_start = .; *(.data*) . = ALIGN(8); data_end = .; } > RAM AT > FLASH
  data_source = LOADADDR(.data);
  .bss : { bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; end = .; } > RAM
}
"""
_START = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
extern uint32_t data_start[], data_end[], data_source[], bss_start[], bss_end[];
extern void initialise_monitor_handles(void);
extern int main(void);
void reset(void)
{
    for (uint32_t *to = data_start, *from = data_source; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {(const void *)0x20400000, (const void *)reset};
void _init(void) {}
void _fini(void) {}
static volatile uint32_t *const timer = (volatile uint32_t *)0x40000000;
void ticks_start(void) { timer[2] = 0xFFFFFFFFu; timer[1] = 0xFFFFFFFFu; timer[0] = 1; }
uint32_t ticks(void) { return 0xFFFFFFFFu - timer[1]; }
"""
_ONCE = """
#include "model.h"
#include "vectors.h"
#include <stdio.h>
void ticks_start(void);
uint32_t ticks(void);
int main(void)
{
    %s
    ticks_start();
    model_run(%s);
    printf("%%lu ticks\\n", (unsigned long)ticks());
    return 0;
}
"""
_PER_TICK = 40


@dataclass(frozen=True)
class Run:
    """What one chip made of a network; sizes in bytes, without those of the C library."""

    chip: str
    samples: int
    differences: int
    instructions: int
    flash: int
    ram: int

    def row(self) -> str:
        """The figures as a row of a Markdown table."""
        counted = f"{self.instructions / 1e6:.2f} M"
        return f"| {self.chip} | {self.differences} in {self.samples} samples | {counted} | {self.flash:,} | {self.ram:,} |"


def tools() -> bool:
    """Whether the compiler and the emulator are there."""
    return shutil.which(COMPILER) is not None and shutil.which(EMULATOR) is not None


def run_on_chips(model: Path, data: str | None, chips: list[str], samples: int = 4) -> Iterator[Run]:
    """Builds the C of an integer model for each chip and runs its vectors there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline.export(model, "c", folder, data, samples=samples)
        (folder / "chip.ld").write_text(_SCRIPT)
        (folder / "start.c").write_text(_START)
        header = (folder / "model.h").read_text()
        (call,) = re.findall(r"void model_run\((.*)\);", header)
        kinds = [re.sub(r"const |\*\w+", "", part).strip() for part in call.split(", ")]
        names = [part.split("*")[1] for part in call.split(", ")]
        outputs = [(kind, name) for kind, name in zip(kinds, names, strict=True) if name.startswith("output")]
        declared = "\n    ".join(f"static {kind} {name}[MODEL_{name.upper()}_SIZE];" for kind, name in outputs)
        given = [name if name.startswith("output") else f"vector_{name}[0]" for name in names]
        (folder / "once.c").write_text(_ONCE % (declared, ", ".join(given)))
        for chip in chips:
            processor, board = CHIPS[chip]
            text = _built(folder, processor, board, ["test.c"], ["-DMODEL_TRACE"])
            found = re.search(r"(\d+) samples, (\d+) differences", text)
            once = re.search(r"(\d+) ticks", _built(folder, processor, board, ["once.c"], []))
            if found is None or once is None:
                raise RuntimeError(f"{chip} gave no result: {text[-500:]}")
            flash, ram = _sizes(folder, processor)
            yield Run(chip, int(found[1]), int(found[2]), int(once[1]) * _PER_TICK, flash, ram)


def _built(folder: Path, processor: str, board: str, sources: list[str], flags: list[str]) -> str:
    """What a program prints on a board."""
    common = [f"-mcpu={processor}", "-mthumb", "-O2", "-std=gnu99", *flags]
    link = ["-nostartfiles", "--specs=rdimon.specs", "-T", "chip.ld", "-Wl,--no-warn-rwx-segments", "-o", "program.elf"]
    files = ["start.c", "model.c", "weights.c", *sources]
    subprocess.run([COMPILER, *common, *files, *link], cwd=folder, check=True, capture_output=True)
    run = [EMULATOR, "-M", board, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0", "-semihosting"]
    done = subprocess.run([*run, "-kernel", "program.elf"], cwd=folder, check=False, capture_output=True, text=True, timeout=600)
    return done.stdout + done.stderr


def _sizes(folder: Path, processor: str) -> tuple[int, int]:
    flags = [f"-mcpu={processor}", "-mthumb", "-Os", "-std=c99", "-c", "model.c", "weights.c"]
    subprocess.run([COMPILER, *flags], cwd=folder, check=True, capture_output=True)
    text = subprocess.run(
        ["arm-none-eabi-size", "model.o", "weights.o"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    rows = [[int(number) for number in line.split()[:3]] for line in text.splitlines()[1:]]
    return sum(code + data for code, data, _ in rows), sum(data + bss for _, data, bss in rows)


def main() -> None:
    """Prints a row for each chip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data")
    arguments = parser.parse_args()
    if not tools():
        raise SystemExit(f"{COMPILER} or {EMULATOR} is not here")
    print("| chip | bytes that differ | instructions | flash | RAM |\n|---|---|---|---|---|")
    for run in run_on_chips(arguments.model, arguments.data, list(CHIPS)):
        print(run.row(), flush=True)


if __name__ == "__main__":
    main()
