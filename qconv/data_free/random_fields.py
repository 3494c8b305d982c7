"""Random fields with a chosen spectrum, as raw material for synthetic samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray

Field = NDArray[np.float64]


class Spectrum(Enum):
    """How fast the amplitude falls with the frequency."""

    FLAT = "one value per sample"
    PINK = "1 / f, as in natural images and sounds"
    WHITE = "independent elements"


@dataclass(frozen=True)
class Component:
    """One source of variation: a spectrum, in one channel or (None) equal in all."""

    spectrum: Spectrum
    channel: int | None


@dataclass(frozen=True)
class NoiseRecipe:
    """x = mean + sum_j amplitude_j * field_j, for an array of `shape` with channels on `axis` (None: no channels)."""

    shape: tuple[int, ...]
    axis: int | None
    mean: tuple[float, ...]
    amplitudes: tuple[tuple[Component, float], ...]

    @property
    def channels(self) -> int:
        """How many channels have a mean of their own."""
        return 1 if self.axis is None else self.shape[self.axis]

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """One array, float32; fields have mean 0 and variance 1 over many draws."""
        spatial = self.field_shape
        total = np.empty((self.channels, *spatial))
        total[:] = np.reshape(self.mean, (-1, *(1 for _ in spatial)))
        for component, amplitude in self.amplitudes:
            where = slice(None) if component.channel is None else component.channel
            total[where] += amplitude * draw_field(rng, spatial, component.spectrum)
        return self.place(total)

    @property
    def field_shape(self) -> tuple[int, ...]:
        """The shape of one channel: everything but the channel axis."""
        return tuple(size for axis, size in enumerate(self.shape) if axis != self.axis)

    def place(self, channels_first: Field) -> FloatArray:
        """[channels, *field_shape] as an array of the recipe's shape."""
        moved = channels_first[0] if self.axis is None else np.moveaxis(channels_first, 0, self.axis)
        return np.ascontiguousarray(moved, np.float32).reshape(self.shape)


def components(channels: int) -> list[Component]:
    """Every spectrum, equal in all channels and, where there are several, in each one alone."""
    patterns: Sequence[int | None] = [None, *range(channels)] if channels > 1 else [None]
    return [Component(spectrum, pattern) for spectrum in Spectrum for pattern in patterns]


def draw_field(rng: np.random.Generator, shape: tuple[int, ...], spectrum: Spectrum) -> Field:
    """A field of mean 0 and variance 1 over many draws; the first axis is the batch."""
    if spectrum is Spectrum.FLAT:
        return np.broadcast_to(rng.standard_normal((*shape[:1], *(1 for _ in shape[1:]))), shape)
    white = rng.standard_normal(shape)
    if spectrum is Spectrum.WHITE or len(shape) < 2:
        return white
    axes = tuple(range(1, len(shape)))
    filtered = np.fft.rfftn(white, axes=axes) * _pink_filter(shape[1:])
    return np.fft.irfftn(filtered, s=shape[1:], axes=axes)


def _pink_filter(shape: tuple[int, ...]) -> Field:
    """1 / f over the half spectrum, nothing at f = 0, scaled so that white noise keeps its variance."""
    squares = sum(np.square(f) for f in np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij", sparse=True))
    power = np.where(squares > 0, 1.0 / np.where(squares > 0, squares, 1.0), 0.0)
    scale = power.mean() or 1.0
    return np.sqrt(power / scale)[..., : shape[-1] // 2 + 1]
