"""What sources around another source have in common: they say of themselves what that one says."""

from __future__ import annotations

from dataclasses import dataclass

from qconv.data.source import SampleSource


@dataclass(frozen=True)
class Wrapper:
    """A source around another."""

    source: SampleSource

    @property
    def description(self) -> str:
        """What the source itself says."""
        return self.source.description

    @property
    def warning(self) -> str | None:
        """What the source itself says."""
        return self.source.warning
