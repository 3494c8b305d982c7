"""What a check of the samples is."""

from __future__ import annotations

from typing import Protocol

from qconv.data.source import Sample


class Check(Protocol):
    """Looks at samples as they pass, in memory that does not depend on their number."""

    def see(self, sample: Sample) -> None:
        """The next sample; its arrays must not be kept beyond a fixed number."""
        ...

    def findings(self) -> list[str]:
        """One sentence for each thing that a user should know, once all samples have passed."""
        ...
