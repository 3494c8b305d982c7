"""Raw pixels at the input of a network that was trained on normalised ones: x = (p * scale - mean) / std."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qconv.quant.types import FloatArray

_LAYOUTS = {1: "nchw", 3: "nhwc"}


@dataclass(frozen=True)
class Pixels:
    """How pixels p of 0 to 255 become reals; `mean` and `std` have one number, or one per channel, which is axis `axis` of 4."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    axis: int

    @property
    def factor(self) -> FloatArray:
        """The a of x = a p + b, to be broadcast against x: as a picture is normalised, in float32."""
        return self._shaped(np.asarray(self.scale / np.asarray(self.std), np.float32))

    @property
    def shift(self) -> FloatArray:
        """The b of x = a p + b."""
        return self._shaped(np.asarray(-np.asarray(self.mean) / np.asarray(self.std), np.float32))

    def of_reals(self, x: FloatArray) -> FloatArray:
        """The pixels that became `x`, as whole reals of 0 to 255."""
        pixels = (np.asarray(x, np.float64) - self.shift) / self.factor
        return np.clip(np.rint(pixels), 0, 255).astype(np.float32)

    def to_settings(self) -> dict[str, Any]:
        """Values by the names of the flags that ask for these pixels."""
        mean, std = (",".join(map(repr, values)) for values in (self.mean, self.std))
        return {"scale": self.scale, "mean": mean, "std": std, "layout": _LAYOUTS[self.axis]}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Pixels | None:
        """The inverse of `to_settings`; None where the settings ask for none. Raises KeyError, TypeError or ValueError."""
        if "std" not in settings:
            return None
        mean, std = (tuple(map(float, settings[key].split(","))) for key in ("mean", "std"))
        axis = next(axis for axis, layout in _LAYOUTS.items() if layout == settings["layout"])
        return cls(float(settings["scale"]), mean, std, axis)

    def _shaped(self, values: FloatArray) -> FloatArray:
        return values.reshape([-1 if axis == self.axis else 1 for axis in range(4)])
