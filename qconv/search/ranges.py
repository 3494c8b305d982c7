"""Which method's range each tensor takes, by what the choice costs at the outputs.

1. Every method for all tensors alike, and a guess: the one of least noise is where the search begins.
2. Tensor by tensor, those first on which methods disagree most: another method's range is taken where it lowers the noise.
3. Min-max for all tensors stands where its noise is small, and elsewhere unless the noise falls below a share of its own: 1/2 at
   8 bits, where rounding is seldom what hurts, and what clipping does to rarer samples is not seen on a few; all of it at 6 bits
   and below.

The number of measurements is bounded, whatever the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qconv.calibrate.methods import Choice

Range = tuple[float, float]
Candidates = Mapping[str, Mapping[str, Range]]
Progress = Callable[[int, int | None], None]

MEASUREMENTS = 160
_GAIN = 0.99  # less is chance
_SMALL = 0.005  # half of the noise-to-signal ratio: an SQNR of 20 dB
_SAFEST = "minmax"


def search_ranges(
    candidates: Candidates,
    guess: Mapping[str, str],
    noise: Callable[[Mapping[str, Range]], float],
    bits: int,
    progress: Progress | None = None,
) -> dict[str, Choice]:
    """A choice for every tensor, among the ranges that methods have for it; all have one of minmax, the first.

    `guess` is a method for each tensor, worth to begin with. `noise` tells what ranges by tensor cost, from 0 to 1; it is asked
    at most `MEASUREMENTS` times.
    """
    measured = _Measured(noise, progress)
    methods = dict.fromkeys(method for ranges in candidates.values() for method in ranges)
    starts = [*(_alike(candidates, method) for method in methods), {tensor: guess[tensor] for tensor in candidates}]
    safest = _alike(candidates, _SAFEST)
    if measured(candidates, safest) <= _SMALL:
        return _chosen(candidates, safest)
    best = min(starts, key=lambda choices: measured(candidates, choices))
    for tensor in sorted(candidates, key=lambda name: _disagreement(candidates[name]), reverse=True):
        for method in _others(candidates[tensor], best[tensor]):
            if measured.count >= MEASUREMENTS:
                break
            other = {**best, tensor: method}
            if measured(candidates, other) < _GAIN * measured(candidates, best):
                best = other
    if measured(candidates, best) > _share(bits) * measured(candidates, safest):
        best = safest
    return _chosen(candidates, best)


def _chosen(candidates: Candidates, methods: Mapping[str, str]) -> dict[str, Choice]:
    return {tensor: Choice(method, candidates[tensor][method]) for tensor, method in methods.items()}


class _Measured:
    """Noise by choices, counted."""

    def __init__(self, noise: Callable[[Mapping[str, Range]], float], progress: Progress | None) -> None:
        self._noise, self._progress, self.count = noise, progress, 0
        self._known: dict[tuple[str, ...], float] = {}

    def __call__(self, candidates: Candidates, choices: Mapping[str, str]) -> float:
        key = tuple(choices.values())
        if key not in self._known:
            self._known[key] = self._noise({tensor: candidates[tensor][method] for tensor, method in choices.items()})
            self.count += 1
            if self._progress is not None:
                self._progress(self.count, MEASUREMENTS)
        return self._known[key]


def _alike(candidates: Candidates, method: str) -> dict[str, str]:
    """The method wherever it is a candidate."""
    return {tensor: method if method in ranges else _SAFEST for tensor, ranges in candidates.items()}


def _others(ranges: Mapping[str, Range], method: str) -> list[str]:
    """Methods whose range differs from that of `method`, and from each other's."""
    distinct = {ranges[method]: method}
    for name, found in ranges.items():
        distinct.setdefault(found, name)
    return [name for name in distinct.values() if name != method]


def _disagreement(ranges: Mapping[str, Range]) -> float:
    """How many times wider the widest is than the narrowest."""
    widths = [hi - lo for lo, hi in ranges.values()]
    return max(widths) / min(widths) if min(widths) > 0 else 1.0


def _share(bits: int) -> float:
    return 1.0 - max(bits - 6, 0) / 4
