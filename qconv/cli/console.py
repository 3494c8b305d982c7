"""Progress and small texts for people; results go to standard output, everything else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text


class _Console(Console):
    """Names in models may hold what a terminal obeys: such signs become question marks, and square brackets are no markup."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders as rich does, without signs that cannot be printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def printable(text: str) -> str:
    """Lines of text without control characters."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


# A table that is piped into a file must not be folded at the 80 columns that rich assumes there.
out = _Console(markup=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = _Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


_loud = False


def be_quiet() -> None:
    """Results and hints are no longer printed; warnings are."""
    out.quiet = True


def be_verbose() -> None:
    """Every stage tells how long it took."""
    global _loud
    _loud = True


def be_usual() -> None:
    """Commands are neither quiet nor verbose from now on."""
    global _loud
    out.quiet, _loud = False, False


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with count, elapsed time and ETA on standard error, gone when done; nothing where that is no terminal."""
    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield update
    if _loud:
        err.print(f"{title}: {time.perf_counter() - started:.1f} s")


def warn(message: str) -> None:
    """A warning on standard error."""
    err.print(Text.assemble(("warning:", "yellow"), " ", message))


def hint(message: str) -> None:
    """Something to try, on standard error."""
    if not out.quiet:
        err.print(Text.assemble(("hint:", "cyan"), " ", message))


def size(count: int) -> str:
    """A number of bytes for people: 12.3 kB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
