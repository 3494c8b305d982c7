"""Parts of the pages that benchmarks write, and what they say on the terminal meanwhile."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterable
from pathlib import Path

import click
import onnxruntime as ort


def line(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def between_marks(page: Path, table: str, begin: str, end: str) -> None:
    """Writes what stands between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def machine() -> str:
    """The processor and the versions."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    processor = found[1] if found else platform.machine()
    return f"{processor}, onnxruntime {ort.__version__}, Python {platform.python_version()}"


class Progress:
    """Says on stderr which stage runs, and how long each took."""

    def __init__(self, name: str) -> None:
        click.echo(f"{name}:", nl=False, err=True)
        self._started: float | None = None

    def stage(self, name: str) -> None:
        """The next stage begins."""
        self._finish()
        click.echo(f" {name}", nl=False, err=True)
        self._started = time.perf_counter()

    def end(self) -> None:
        """The last stage is over."""
        self._finish()
        click.echo(err=True)

    def _finish(self) -> None:
        if self._started is not None:
            click.echo(f" {time.perf_counter() - self._started:.1f} s", nl=False, err=True)
