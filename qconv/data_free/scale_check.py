"""Samples in another scale than the model was trained with, such as pictures in 0..255 where -1..1 is expected.

Through the affine path in front of the first batch norm, the samples should have the mean and variance by channel that the
batch norm remembers. How alike two normal distributions are, the Bhattacharyya coefficient tells, in 0..1:

    distance_k = 1 - sqrt(2 s1 s2 / (s1^2 + s2^2)) exp(-(m1 - m2)^2 / (4 (s1^2 + s2^2)))

of which the median over the channels is judged: right samples have at most 0.06, samples a tenth of their size 0.4.
For pictures the same samples are tried in every other usual scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from qconv.data.image_options import PRESETS
from qconv.data.source import InputInfo, Sample
from qconv.data_free.batchnorm_match import Matrix, Probe, affine_batchnorms
from qconv.data_free.picture_scale import black_and_white
from qconv.data_free.synthetic import channel_axis
from qconv.quant.types import FloatArray

_LOOKED_AT, _ENOUGH = 16, 8  # rows of batches; fewer do not tell the variance between pictures
_WRONG = 0.3  # distance that is a mistake whatever else would fit
_BETTER, _DOUBTFUL = 3.0, 0.07  # a distance above the second is one, too, where a preset is this many times closer
_SLACK = 0.02  # of the span: how far pictures may reach beyond black and white by rounding


class Scale:
    """Keeps the arrays of the first 16 rows of the only input of a model that has batch norms behind an affine path."""

    def __init__(self, original: ir.Model, inputs: Sequence[InputInfo]) -> None:
        norms = affine_batchnorms(original.graph) if len(inputs) == 1 else {}
        self._info = inputs[0]
        self._norms, self._model = norms.get(self._info.name, []) if self._info.dtype == np.float32 else [], original
        self._arrays: list[FloatArray] = []
        self._rows = 0

    def see(self, sample: Sample) -> None:
        """Keeps the first samples."""
        if self._norms and self._rows < _LOOKED_AT:
            self._arrays.append(sample.feeds[self._info.name])
            self._rows += len(self._arrays[-1])

    def findings(self) -> list[str]:
        """One sentence where the samples do not fit and, at best, a scale that would."""
        if not self._norms or self._rows < _ENOUGH:
            return []
        probe = Probe.of(self._model, self._info.name, self._norms)
        mean, variance = _moments(probe, self._arrays)
        distance = float(np.median(_distances(mean, variance, probe)))
        if distance < _DOUBTFUL:
            return []
        closest, preset = min(self._presets(probe), default=(np.inf, ""))
        fits = closest * _BETTER < distance
        if distance < _WRONG and not fits:
            return []
        return [f"{self._found(mean, variance, probe)}; {self._advice(preset if fits else None)}"]

    def _presets(self, probe: Probe) -> Iterator[tuple[float, str]]:
        """Distance and name for the samples in the scale of each preset, if they are pictures in that of another."""
        axis = channel_axis(self._info)
        channels = None if axis is None or self._arrays[0].ndim != 4 else self._arrays[0].shape[axis]
        if axis is None or channels not in (1, 3):
            return
        own = _preset_of(self._arrays, axis, channels)
        for name in PRESETS if own is not None else ():
            if name != own:
                moved = [_rescaled(array, axis, str(own), name) for array in self._arrays]
                yield float(np.median(_distances(*_moments(probe, moved), probe))), name

    def _found(self, mean: Matrix, variance: Matrix, probe: Probe) -> str:
        values = np.concatenate([array.reshape(-1) for array in self._arrays])
        seen = f"{values.min():.3g} to {values.max():.3g}, mean {values.mean(dtype=np.float64):.3g}"
        ratio = float(np.sqrt(np.median(np.maximum(variance, 1e-30) / probe.variance)))
        shift = float(np.median(np.abs(mean - probe.mean) / np.sqrt(probe.variance)))
        return (
            f"input {self._info.name} does not fit the model's first batch norm: with values of {seen}, it sees {ratio:.2g} "
            f"times the deviation that it remembers from training, and means {shift:.2g} deviations off"
        )

    def _advice(self, preset: str | None) -> str:
        if preset is None:
            return "normalise the samples as the model was trained"
        axis = channel_axis(self._info)
        assert axis is not None
        lo, hi = black_and_white(PRESETS[preset], self._arrays[0].shape[axis])
        return f"expected are pictures as by --preset {preset}, black at {min(lo):.3g} and white at {max(hi):.3g}"


def _moments(probe: Probe, arrays: Sequence[FloatArray]) -> tuple[Matrix, Matrix]:
    """Mean and variance by channel of the responses, [channels] each, by running sums."""
    count, total, squares = 0, np.zeros(len(probe.mean)), np.zeros(len(probe.mean))
    for array in arrays:
        response = probe.respond(array)
        count += response.shape[1]
        total += response.sum(axis=1)
        squares += np.square(response).sum(axis=1)
    mean = total / count
    return mean, np.maximum(squares / count - np.square(mean), 0.0)


def _distances(mean: Matrix, variance: Matrix, probe: Probe) -> Matrix:
    both = variance + probe.variance
    overlap = np.sqrt(2 * np.sqrt(variance * probe.variance) / both)
    distances: Matrix = 1 - overlap * np.exp(-np.square(mean - probe.mean) / (4 * both))
    return distances


def _preset_of(arrays: Sequence[FloatArray], axis: int, channels: int) -> str | None:
    """The narrowest preset whose black and white enclose all samples, channel by channel, and which they nearly fill."""
    stacked = [np.moveaxis(array, axis, 0).reshape(channels, -1) for array in arrays]
    least, most = np.min([a.min(axis=1) for a in stacked], axis=0), np.max([a.max(axis=1) for a in stacked], axis=0)
    fitting = []
    for name, preset in PRESETS.items():
        lo, hi = (np.array(values) for values in black_and_white(preset, channels))
        span = hi - lo
        if (least >= lo - _SLACK * span).all() and (most <= hi + _SLACK * span).all():
            fitting.append((float(span.max() / np.max(most - least + 1e-12)), name))
    share, name = min(fitting, default=(np.inf, ""))
    return name if share < 2 else None


def _rescaled(array: FloatArray, axis: int, own: str, other: str) -> FloatArray:
    """The same pictures as another preset would give them, in its order of channels."""
    channels = array.shape[axis]
    moved = np.moveaxis(array, axis, -1).astype(np.float64)
    lo, hi = (np.array(values) for values in black_and_white(PRESETS[own], channels))
    shade = (moved - lo) / (hi - lo)
    if PRESETS[own].channels != PRESETS[other].channels:
        shade = shade[..., ::-1]
    lo, hi = (np.array(values) for values in black_and_white(PRESETS[other], channels))
    return np.ascontiguousarray(np.moveaxis(lo + shade * (hi - lo), -1, axis), np.float32)
