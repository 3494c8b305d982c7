"""The C of docs/arithmetic.md, compiled with what undefined behaviour it has made fatal, equals our arithmetic."""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qconv.quant.fixedpoint import Multiplier, rescale, rescale_sum

PAGE = Path(__file__).parents[2] / "docs" / "arithmetic.md"
FLAGS = ["-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """All C of the page as a library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    code = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    folder = tmp_path_factory.mktemp("c")
    source, library = folder / "page.c", folder / "page.so"
    source.write_text("#include <stdint.h>\n" + "".join(code))
    if subprocess.run([compiler, *FLAGS, str(source), "-o", str(library)], capture_output=True).returncode:
        plain = [flag for flag in FLAGS if "sanitize" not in flag]
        subprocess.run([compiler, *plain, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def test_rescale_in_c_equals_rescale(page: ctypes.CDLL) -> None:
    limits = np.iinfo(np.int32)
    accs = np.asarray([limits.min + 1, -(1 << 30), -12345, -3, -1, 0, 1, 2, 3, 12345, 1 << 30, limits.max], np.int64)
    for m0 in (1 << 30, (1 << 30) + 128, 3 << 29, (1 << 31) - 128):
        for n in (-60, -33, -32, -31, -30, -20, -1, 0, 1, 8, 30, 31, 32, 60, 100):
            ours = np.clip(rescale(accs, Multiplier(np.asarray(m0), np.asarray(n))), limits.min, limits.max)
            assert [page.rescale(int(acc), m0, n) for acc in accs] == ours.tolist(), (m0, n)


CODES = (0, 1, 2, 3, 77, 127, 128, 129, 200, 254, 255)
SCALES = (1e-38, 1e-9, 2.0**-20, 2.0**-8, 0.003, 0.25, 0.3, 0.5, 1.0, 1.7, 64.0, 1e4, 1e8, 1e20)


@pytest.mark.parametrize("zero_points", [(0, 0, 0), (128, 100, 3), (255, 0, 254)])
def test_add_and_mul_in_c_are_exact(page: ctypes.CDLL, zero_points: tuple[int, int, int]) -> None:
    """Scales far apart, with ties (powers of two) and without, and beyond what int64 holds."""
    za, zb, zc = zero_points
    pairs = [(p - za, q - zb) for p in CODES for q in CODES]
    for ma, mb in itertools.product(map(Multiplier.of, SCALES), repeat=2):
        words = (int(ma.m0), int(ma.n)), (int(mb.m0), int(mb.n))
        added = [page.add(p, *words[0], q, *words[1], zc) for p, q in pairs]
        right = [rescale_sum(p, ma, q, mb, zc) for p, q in pairs]
        assert clamped(added) == clamped(right), (ma, mb)
    for m in map(Multiplier.of, SCALES):
        multiplied = [page.mul(p, q, int(m.m0), int(m.n), zc) for p, q in pairs]
        assert clamped(multiplied) == clamped([rescale_sum(p * q, m, 0, m, zc) for p, q in pairs]), m


def clamped(values: list[int]) -> list[int]:
    return [min(max(value, 0), 255) for value in values]
