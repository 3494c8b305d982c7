"""Moves samples until the batch norms of a network see what they remember from training.

Round by round, every sample x of a set takes a step against the gradient of the network's gap L
(qconv/data_free/running_statistics.py), through the slopes that the moments of the whole set had one round before:

    d = 0.8 d + P dL/dx        x = x - step * deviation of the samples * d / rms(d), cut to black and white

P divides the amplitude of each frequency f of pictures by f. That is the spectrum of photographs: a step then has their form
instead of the fine noise that the gradient of a deep network is. `step` halves, and d begins anew, whenever the gap has grown.
A set that got no better is left as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qconv.data_free.running_statistics import Gaps
from qconv.data_free.statistics_network import MomentNetwork
from qconv.quant.types import FloatArray
from qconv.statistics.observe import Progress

STEP = 0.05  # of the samples' deviation, in root mean square, to begin with
_MOMENTUM = 0.8


@dataclass(frozen=True)
class Matched:
    """Samples, and their gaps before and after they were moved."""

    samples: list[FloatArray]
    before: Gaps
    after: Gaps


@np.errstate(over="ignore", invalid="ignore")  # what overflows gets no better, and is left as it was
def match(
    network: MomentNetwork, samples: Sequence[FloatArray], rounds: int, box: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> Matched:  # fmt: skip
    """Samples [batch, ...] after so many rounds, within `box`; the arrays given are not changed. `progress` counts rounds."""
    current = [np.array(sample, np.float32) for sample in samples]
    directions = [np.zeros_like(sample) for sample in current]
    scale = float(np.sqrt(np.mean([sample.var() for sample in current])))
    before = gaps = _gaps(network, current)
    step, last = STEP, np.inf
    for done in range(1, 1 + rounds if network.reaches_input else 1):
        if gaps.mean > last:
            step /= 2
            for direction in directions:
                direction[:] = 0.0
        last, slopes, moments = gaps.mean, gaps.slopes(), []
        for sample, direction in zip(current, directions, strict=True):
            first, second, gradient = network.run(sample, slopes)
            assert gradient is not None
            moments.append((first, second))  # of the sample before it moves
            _advance(sample, direction, gradient, step * scale, box)
        gaps = network.gaps(*np.mean(moments, axis=0))
        if progress is not None:
            progress(done, rounds)
    after = _gaps(network, current)
    return Matched(current, before, after) if after.mean < before.mean else Matched(list(samples), before, before)


def _gaps(network: MomentNetwork, samples: Sequence[FloatArray]) -> Gaps:
    return network.gaps(*np.mean([network.run(sample, network.no_slopes)[:2] for sample in samples], axis=0))


def _advance(
    sample: FloatArray, direction: FloatArray, gradient: FloatArray, length: float, box: tuple[float, float] | None
) -> None:
    """Moves the samples one step along their gradients, in place."""
    direction *= np.float32(_MOMENTUM)
    direction += smoothed(gradient)
    norm = float(np.sqrt(np.mean(np.square(direction))))
    if 0 < norm < np.inf:
        sample -= np.float32(length / norm) * direction
    if box is not None:
        np.clip(sample, np.float32(box[0]), np.float32(box[1]), out=sample)


def smoothed(gradient: FloatArray) -> FloatArray:
    """Each frequency f over the last two axes of a picture [batch, channels, height, width] divided by f; others as they are.

    The constant part counts as the lowest frequency.
    """
    if gradient.ndim != 4:
        return gradient
    rows, columns = gradient.shape[2:]
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    frequency[0, 0] = 1.0 / max(rows, columns)
    spectrum = np.fft.rfft2(gradient) / frequency
    return np.fft.irfft2(spectrum, s=(rows, columns)).astype(np.float32)
