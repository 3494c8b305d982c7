"""The end of the time that a search may take, looked at wherever work reports its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass


class OutOfTime(Exception):  # noqa: N818 - no error: the search ends with what it has
    """Raised where the time that a search may take is over."""


@dataclass
class Deadline:
    """Ends `seconds` after `began` on time.monotonic's clock, less what is reserved for finishing; never where that is None."""

    seconds: float | None
    began: float
    reserved: float = 0.0

    def look(self, done: int = 0, total: int | None = None) -> None:
        """Raises OutOfTime where the time is over; takes the place of what shows progress."""
        if self.seconds is not None and time.monotonic() > self.began + self.seconds - self.reserved:
            raise OutOfTime

    def reserve(self, seconds: float) -> None:
        """Keeps time back for finishing: half of all at most."""
        self.reserved = 0.0 if self.seconds is None else min(seconds, self.seconds / 2.0)
