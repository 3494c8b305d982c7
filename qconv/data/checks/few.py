"""The check that there are not far too few samples."""

from __future__ import annotations

from qconv.data.source import Sample

FEWEST = 16  # below this, extremes of networks for pictures are still short by a third to a half
_USUAL = 100


class Few:
    """Counts rows: a sample is as many as its batch has, where all inputs agree on that."""

    def __init__(self) -> None:
        self._rows = 0

    def see(self, sample: Sample) -> None:
        """Adds the rows of one sample."""
        batches = {array.shape[0] if array.ndim > 1 else 1 for array in sample.feeds.values()}
        self._rows += batches.pop() if len(batches) == 1 else 1

    def findings(self) -> list[str]:
        """One sentence, below the limit."""
        if not 0 < self._rows < FEWEST:
            return []
        plural = "sample is" if self._rows == 1 else "samples are"
        return [f"{self._rows} {plural} far too few for ranges to rely on; give about {_USUAL}"]
