"""With what a calibration was made besides its samples, for those who go on with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from qconv.data.image_options import ImageOptions


@dataclass(frozen=True)
class Setup:
    """How pictures were read, the patterns of nodes that stay in float, and the inputs that are pinned, as NAME=VALUE."""

    images: ImageOptions = field(default_factory=ImageOptions)
    exclude: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The settings as a person would give them to a command; empty where all is as by default."""
        return " ".join(self._words())

    def _words(self) -> Iterator[str]:
        for name, value in asdict(self.images).items():
            if isinstance(value, tuple):
                yield f"--{name} {('x' if name in ('resize', 'crop') else ',').join(f'{part:g}' for part in value)}"
            elif value is not None:
                yield f"--{name} {value}"
        for name, values in (("exclude", self.exclude), ("pin", self.pin)):
            yield from (f"--{name} {shlex.quote(value)}" for value in values)

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as plain data."""
        images = {key: value for key, value in asdict(self.images).items() if value is not None}
        found = {"images": images, "exclude": list(self.exclude), "pin": list(self.pin)}
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setup:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        images: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.get("images", {}).items()}
        exclude, pin = data.get("exclude", []), data.get("pin", [])
        if not all(isinstance(entry, str) for entry in (*exclude, *pin)):
            raise TypeError("exclude and pin hold texts")
        return cls(ImageOptions(**images), tuple(exclude), tuple(pin))
