"""The C of a network on emulated microcontrollers: bytes, instructions per inference, flash and RAM.

Usage: python -m benchmarks.chips model.int8.onnx [--data samples.npz]
Needs arm-none-eabi-gcc with newlib and qemu-system-arm (Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm), for
RISC-V riscv64-unknown-elf-gcc with picolibc and qemu-system-riscv32 (gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf
qemu-system-misc). Chips whose tools are not here are left out.

Programs for a Cortex-M0+ run on an emulated Cortex-M3, which knows all their instructions. One instruction takes a nanosecond of
the emulator's time, and timers have 25 or 32 MHz, so that counts are exact to 40 instructions. The C for a Cortex-M55 is
compiled with Helium, where the compiler finds loops for it.
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

_SCRIPT = """
MEMORY {{ FLASH (rx) : ORIGIN = 0x0, LENGTH = {size}  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = {size} }}
ENTRY(reset)
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.ARM.ex*) . = ALIGN(8); }} > FLASH
  .data : {{ data_start = .; *(.data*) . = ALIGN(8); data_end = .; }} > RAM AT > FLASH
  data_source = LOADADDR(.data);
  .bss : {{ bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; end = .; }} > RAM
}}
"""
_START = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
extern uint32_t data_start[], data_end[], data_source[], bss_start[], bss_end[];
extern void initialise_monitor_handles(void);
extern int main(void);
__attribute__((used)) static void begin(void)
{
    for (uint32_t *to = data_start, *from = data_source; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}
void reset(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the coprocessors for reals and vectors */
    __asm__ volatile("dsb\\nisb");
#endif
    __asm__ volatile("b begin");
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {(const void *)STACK, (const void *)reset};
void _init(void) {}
void _fini(void) {}
#ifdef SYSTICK
static volatile uint32_t *const timer = (volatile uint32_t *)0xE000E010;
void ticks_start(void) { timer[1] = 0xFFFFFFu; timer[2] = 0; timer[0] = 5; }
uint32_t ticks(void) { return 0xFFFFFFu - timer[2]; }
#else
static volatile uint32_t *const timer = (volatile uint32_t *)0x40000000;
void ticks_start(void) { timer[2] = 0xFFFFFFFFu; timer[1] = 0xFFFFFFFFu; timer[0] = 1; }
uint32_t ticks(void) { return 0xFFFFFFFFu - timer[1]; }
#endif
"""
_START_RISCV = """
#include <stdint.h>
static uint32_t started;
static uint32_t count(void)
{
    uint32_t found;
    __asm__ volatile(".option push\\n.option arch, +zicsr\\ncsrr %0, minstret\\n.option pop" : "=r"(found));
    return found;
}
void ticks_start(void) { started = count(); }
uint32_t ticks(void) { return count() - started; }
"""
_SEMIHOSTED = ("-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0", "-semihosting")


@dataclass(frozen=True)
class Chip:
    """How programs for a chip are made and emulated; `per_tick` is the number of instructions of one tick of its timer."""

    tools: str
    flags: tuple[str, ...]
    link: tuple[str, ...]
    emulator: tuple[str, ...]
    start: str
    script: str
    per_tick: float

    @property
    def here(self) -> bool:
        """Whether its compiler and its emulator are installed."""
        return shutil.which(f"{self.tools}gcc") is not None and shutil.which(self.emulator[0]) is not None


def _arm(processor: str, board: str, *, size: int = 4 << 20, flags: tuple[str, ...] = (), per_tick: float = 40) -> Chip:
    link = ("-nostartfiles", "--specs=rdimon.specs", "-T", "chip.ld", "-Wl,--no-warn-rwx-segments")
    every = (f"-mcpu={processor}", "-mthumb", f"-DSTACK={0x20000000 + size:#x}", *flags)
    return Chip("arm-none-eabi-", every, link, ("qemu-system-arm", "-M", board), _START, _SCRIPT.format(size=size), per_tick)


def _riscv(architecture: str) -> Chip:
    places = {"flash": "0x80000000", "flash_size": "4M", "ram": "0x80400000", "ram_size": "4M"}
    link = ("--oslib=semihost", "--crt0=hosted", *(f"-Wl,--defsym=__{k}={v}" for k, v in places.items()), "-Tpicolibc.ld")
    flags = ("--specs=picolibc.specs", f"-march={architecture}", "-mabi=ilp32")
    emulator = ("qemu-system-riscv32", "-M", "virt", "-bios", "none")
    return Chip("riscv64-unknown-elf-", flags, link, emulator, _START_RISCV, "", 1)


CHIPS = {
    "Cortex-M0+": _arm("cortex-m0plus", "mps2-an385"),
    "Cortex-M3": _arm("cortex-m3", "mps2-an385"),
    "Cortex-M4": _arm("cortex-m4", "mps2-an386"),
    "Cortex-M7": _arm("cortex-m7", "mps2-an500"),
    "Cortex-M55": _arm(
        "cortex-m55", "mps3-an547", size=512 << 10, flags=("-mfloat-abi=hard", "-DSYSTICK", "-O3"), per_tick=1000 / 32
    ),
    "RISC-V RV32IMAC": _riscv("rv32imac"),
}
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


def run_on_chips(model: Path, data: str | None, chips: list[str], samples: int = 4) -> Iterator[Run]:
    """Builds the C of an integer model for each chip and runs its vectors there."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pipeline.export(model, "c", folder, data, samples=samples)
        header = (folder / "model.h").read_text()
        (call,) = re.findall(r"void model_run\((.*)\);", header)
        kinds = [re.sub(r"const |\*\w+", "", part).strip() for part in call.split(", ")]
        names = [part.split("*")[1] for part in call.split(", ")]
        outputs = [(kind, name) for kind, name in zip(kinds, names, strict=True) if name.startswith("output")]
        declared = "\n    ".join(f"static {kind} {name}[MODEL_{name.upper()}_SIZE];" for kind, name in outputs)
        given = [name if name.startswith("output") else f"vector_{name}[0]" for name in names]
        (folder / "once.c").write_text(_ONCE % (declared, ", ".join(given)))
        for name in chips:
            chip = CHIPS[name]
            (folder / "chip.ld").write_text(chip.script)
            (folder / "start.c").write_text(chip.start)
            text = _built(folder, chip, ["test.c"], ["-DMODEL_TRACE"])
            found = re.search(r"(\d+) samples, (\d+) differences", text)
            once = re.search(r"(\d+) ticks", _built(folder, chip, ["once.c"], []))
            if found is None or once is None:
                raise RuntimeError(f"{name} gave no result: {text[-500:]}")
            flash, ram = _sizes(folder, chip)
            yield Run(name, int(found[1]), int(found[2]), round(int(once[1]) * chip.per_tick), flash, ram)


def _built(folder: Path, chip: Chip, sources: list[str], flags: list[str]) -> str:
    """What a program prints on a board."""
    files = ["start.c", "model.c", "weights.c", *sources, "-o", "program.elf"]
    command = [f"{chip.tools}gcc", "-O2", *chip.flags, "-std=gnu99", *flags, *files, *chip.link]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    run = [*chip.emulator, *_SEMIHOSTED, "-kernel", "program.elf"]
    done = subprocess.run(run, cwd=folder, check=False, capture_output=True, text=True, timeout=600)
    return done.stdout + done.stderr


def _sizes(folder: Path, chip: Chip) -> tuple[int, int]:
    command = [f"{chip.tools}gcc", *chip.flags, "-Os", "-std=c99", "-c", "model.c", "weights.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    command = [f"{chip.tools}size", "model.o", "weights.o"]
    text = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    rows = [[int(number) for number in line.split()[:3]] for line in text.splitlines()[1:]]
    return sum(code + data for code, data, _ in rows), sum(data + bss for _, data, bss in rows)


def main() -> None:
    """Prints a row for each chip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data")
    arguments = parser.parse_args()
    chips = [name for name, chip in CHIPS.items() if chip.here]
    print("| chip | bytes that differ | instructions | flash | RAM |\n|---|---|---|---|---|")
    for run in run_on_chips(arguments.model, arguments.data, chips):
        print(run.row(), flush=True)
    for name in CHIPS.keys() - set(chips):
        print(f"{name}: {CHIPS[name].tools}gcc or {CHIPS[name].emulator[0]} is not here")


if __name__ == "__main__":
    main()
