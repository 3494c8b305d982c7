"""The C of docs/arithmetic.md, compiled with what undefined behaviour it has made fatal, equals `rescale`."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qconv.quant.fixedpoint import Multiplier, rescale

PAGE = Path(__file__).parents[2] / "docs" / "arithmetic.md"
FLAGS = ["-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]


def test_rescale_in_c_equals_rescale(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    code = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    source, library = tmp_path / "page.c", tmp_path / "page.so"
    source.write_text("#include <stdint.h>\n" + "".join(code))
    if subprocess.run([compiler, *FLAGS, str(source), "-o", str(library)], capture_output=True).returncode:
        plain = [flag for flag in FLAGS if "sanitize" not in flag]
        subprocess.run([compiler, *plain, str(source), "-o", str(library)], check=True)
    in_c = ctypes.CDLL(str(library)).rescale
    limits = np.iinfo(np.int32)
    accs = np.asarray([limits.min + 1, -(1 << 30), -12345, -3, -1, 0, 1, 2, 3, 12345, 1 << 30, limits.max], np.int64)
    for m0 in (1 << 30, (1 << 30) + 128, 3 << 29, (1 << 31) - 128):
        for n in (-60, -33, -32, -31, -30, -20, -1, 0, 1, 8, 30, 31, 32, 60, 100):
            ours = np.clip(rescale(accs, Multiplier(np.asarray(m0), np.asarray(n))), limits.min, limits.max)
            assert [in_c(int(acc), m0, n) for acc in accs] == ours.tolist(), (m0, n)
