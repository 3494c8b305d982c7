"""A process of its own for a figure, ended when it takes too much memory or time.

Memory is read from /proc, and neither limited nor measured where the system has none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.feeds import ROOT

GIGABYTES = 8
SECONDS = 600.0
_POLL = 0.05  # seconds; no calibrator touches more than some 100 MB in that time


class FigureError(Exception):
    """The process gave no figure; the message says why."""


class LimitError(FigureError):
    """It was ended at a limit."""


def run(module: str, arguments: Sequence[str | Path], *, gigabytes: float = GIGABYTES, seconds: float = SECONDS) -> str:
    """The last line that `python -m module` writes. Raises LimitError, or FigureError when it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder,  # what it would leave behind when it is ended
    ):
        environment = {**os.environ, "TMPDIR": folder}
        with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors, env=environment) as process:
            try:
                _watch(process, gigabytes, time.perf_counter() + seconds, f"more than {seconds / 60:g} min")
            finally:
                process.kill()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise FigureError(f"failed: {(errors.read().splitlines() or ['no message'])[-1][:160]}")
        return output.read().splitlines()[-1]


def memory(process: int | str, field: str) -> float | None:
    """VmRSS or VmHWM, its peak, of a process in MB; None where the system does not tell, or where the process is over.

    Not getrusage: its maximum takes over what the parent had when it forked.
    """
    try:
        found = re.search(rf"{field}:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return None
    return None if found is None else int(found[1]) / 1000


def _watch(process: subprocess.Popen[bytes], gigabytes: float, end: float, late: str) -> None:
    while process.poll() is None:
        if (memory(process.pid, "VmRSS") or 0.0) > 1000 * gigabytes:
            raise LimitError(f"more than {gigabytes:g} GB")
        if time.perf_counter() > end:
            raise LimitError(late)
        time.sleep(_POLL)
