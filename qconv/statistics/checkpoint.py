"""Progress of a run, saved as it goes, so that a killed run goes on where it was.

What is saved are the summaries of the samples so far. Merged with those of the samples that remain they are the summaries of
all, exactly, so that a resumed run ends in the same file, byte for byte.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qconv.errors import ArtifactError
from qconv.model.save import replace_text
from qconv.model.text_files import read_json
from qconv.statistics.shard import Shard
from qconv.statistics.summary import Summary

FORMAT = "qconv-progress-1"
SECONDS = 2.0  # between two writes
_SHARE = 20  # and this many times what the last one took
_ANEW = "run without --resume to start anew"

Summaries = Mapping[str, Summary]


def progress_beside(result: Path) -> Path:
    """Where the progress of a run is kept that will write `result`."""
    return result.with_name(f"{result.name}.partial")


def progress_of(file: Path, shard: Shard) -> Path:
    """Where the progress of a worker is kept, which does one shard of the run that `file` is for."""
    return file.with_name(f"{file.name}.{shard.number}of{shard.count}")


def remove_progress(file: Path) -> None:
    """Also that of workers; for when the result is safe."""
    for path in file.parent.iterdir():
        if path.name == file.name or path.name.startswith(f"{file.name}."):
            path.unlink(missing_ok=True)


class Checkpoint:
    """Keeps the progress of one run in a file, or nowhere. `run` is what a resumed run must have in common with it."""

    def __init__(self, path: Path | None, run: Mapping[str, Any], *, resume: bool = False) -> None:
        """Reads the progress of an earlier run with `resume`, if there is any. Raises ArtifactError if it is of another run."""
        self._path, self._run = path, json.loads(json.dumps(run))
        self.done: int = 0  # by the earlier run
        self._before: Summaries = {}
        if resume and path is not None and path.exists():
            self.done, self._before = _read(path, self._run)
        self.seen = self.done  # by both
        self._due = time.monotonic() + SECONDS

    def keep(self, done: int, summaries: Callable[[], Summaries]) -> None:
        """Takes note that `done` samples more were seen, and saves it if it is time. Raises OutputError."""
        self.seen, begun = self.done + done, time.monotonic()
        if self._path is None or begun < self._due:
            return
        tensors = {name: summary.to_json() for name, summary in self.with_earlier(summaries()).items()}
        entry = {"format": FORMAT, "run": self._run, "done": self.seen, "tensors": tensors}
        replace_text(self._path, json.dumps(entry, ensure_ascii=False) + "\n")
        now = time.monotonic()
        self._due = now + max(SECONDS, _SHARE * (now - begun))

    def with_earlier(self, summaries: Summaries) -> dict[str, Summary]:
        """The statistics of the samples of the earlier run and of this one."""
        if not self._before:
            return dict(summaries)
        return {name: self._before[name].merge(summary) for name, summary in summaries.items()}


def _read(path: Path, run: Mapping[str, Any]) -> tuple[int, Summaries]:
    try:
        entry = read_json(path)
        if entry["format"] != FORMAT or type(entry["done"]) is not int:
            raise ValueError(f"format {entry['format']!r}")
        found, done = entry["run"], entry["done"]
        summaries = {name: Summary.from_json(summary) for name, summary in entry["tensors"].items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"the progress in {path} cannot be read ({type(error).__name__}: {error}); {_ANEW}") from None
    different = [key for key in run if found.get(key) != run[key]]
    if different:
        raise ArtifactError(f"the progress in {path} is of a run with another {' and '.join(different)}; {_ANEW}")
    return done, summaries
