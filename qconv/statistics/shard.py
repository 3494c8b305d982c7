"""Parts of a set of samples that are calibrated apart: shard i of n takes the samples i - 1, i - 1 + n, i - 1 + 2 n, ..."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qconv.errors import UsageError

_FORM = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Number `number` of `count`, counted from 1; 1 of 1 is the whole."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads `3/16`. Raises UsageError."""
        match = _FORM.fullmatch(text)
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            raise UsageError(f"a shard is written as 3/16, the third of sixteen, not {text!r}")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Coverage:
    """Which shards of `count` a calibration covers: number -> how many samples that shard had; `exact` as `--exact`.

    A calibration of all shards has no coverage: it is that of the whole.
    """

    count: int
    samples: Mapping[int, int]
    exact: bool

    @property
    def warning(self) -> str:
        """A sentence that some shards are missing."""
        missing = [str(number) for number in range(1, self.count + 1) if number not in self.samples]
        listed = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        return f"the calibration covers {len(self.samples)} of {self.count} shards; calibrate and merge the others too: {listed}"

    def to_json(self) -> dict[str, Any]:
        """Plain data, in the order of the shards."""
        samples = {str(number): self.samples[number] for number in sorted(self.samples)}
        return {"of": self.count, "exact": self.exact, "samples": samples}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        count, exact, samples = data["of"], data["exact"], {int(key): value for key, value in data["samples"].items()}
        if type(count) is not int or type(exact) is not bool or not all(type(n) is int and n >= 0 for n in samples.values()):
            raise TypeError("shards have a count, whether they are exact, and a number of samples each")
        if not samples or not all(1 <= number <= count for number in samples) or len(samples) == count:
            raise ValueError(f"the shards of a part of the samples are some of 1 to {count}, not {sorted(samples)}")
        return cls(count, samples, exact)
