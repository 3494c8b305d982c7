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
        """That of the source."""
        return self.source.description

    @property
    def warning(self) -> str | None:
        """That of the source."""
        return self.source.warning
