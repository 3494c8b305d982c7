"""A source of samples that checks look at as they pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qconv.data.checks.check import Check
from qconv.data.source import Sample, known_length
from qconv.data.wrapper import Wrapper


@dataclass(frozen=True)
class Watched(Wrapper):
    """A source whose samples the checks see as they pass; for one pass, and read by one thread."""

    checks: Sequence[Check]

    def __len__(self) -> int:
        """As many as the source has; TypeError where that is not known, as `operator.length_hint` understands."""
        count = known_length(self.source)
        if count is None:
            raise TypeError("the number of samples is not known")
        return count

    def __iter__(self) -> Iterator[Sample]:
        """The samples of the source."""
        for sample in self.source:
            for check in self.checks:
                check.see(sample)
            yield sample

    def findings(self) -> list[str]:
        """What all checks have to say."""
        return [finding for check in self.checks for finding in check.findings()]
