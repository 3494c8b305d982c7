"""What a person may have meant by a path where nothing is."""

from __future__ import annotations

import difflib
from itertools import islice
from pathlib import Path

_ALIKE = 0.75  # share of the letters of both names: one or two mistyped, in a name of ten
_MOST_NAMES = 10_000  # of a folder that are compared, which takes a tenth of a second


def path_hint(path: str | Path, otherwise: str = "check the path") -> str:
    """What to try: the path that is there with a name like that; where there is none, what else."""
    near = None if Path(path).exists() else _near(Path(path))
    return otherwise if near is None else f"did you mean {near}?"


def unreadable(what: str, path: str | Path, error: Exception, otherwise: str = "check the path") -> str:
    """The sentence about a file that a person named and that cannot be read as text; `what` says what it was to be."""
    hint = path_hint(path, otherwise)
    if isinstance(error, FileNotFoundError):
        return f"there is no {what} {path}; {hint}"
    reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
    return f"the {what} {path} cannot be read ({reason}); {hint}"


def _near(path: Path) -> Path | None:
    """The path whose parts are those given, or the most alike in their folders; None where one has none like it."""
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        name = part if (found / part).exists() else _alike(found, part)
        if name is None:
            return None
        found /= name
    return found


def _alike(folder: Path, name: str) -> str | None:
    try:
        names = {path.name.lower(): path.name for path in islice(folder.iterdir(), _MOST_NAMES)}
    except OSError:
        return None
    close = difflib.get_close_matches(name.lower(), names, 1, _ALIKE)
    return names[close[0]] if close else None
