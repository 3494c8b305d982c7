"""Which method's range each tensor takes, by what the choice costs at the outputs.

1. Every method for all tensors alike, and a guess: the one of least noise is where the search begins.
2. Halves of the network, then quarters and eighths, in graph order, then tensor by tensor, those first on which methods disagree
   most: another method's ranges are taken where that lowers the noise. Tensors whose elements a user reads keep their extremes,
   because clipping makes the largest of them equal; they change where that lowers the noise by a third, all at once in the
   beginning, or each by itself.
3. Min-max for all tensors stands where its noise is small, and elsewhere unless the noise falls below a share of its own: 1/2 at
   8 bits, where rounding is seldom what hurts, and what clipping does to rarer samples is not seen on a few; all of it at 6 bits
   and below.

The number of measurements is bounded, whatever the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from qconv.ranges.methods import Choice
from qconv.statistics.observe import Progress
from qconv.statistics.summary import Range

Candidates = Mapping[str, Mapping[str, Range]]

MEASUREMENTS = 160
_GAIN = 0.99  # less is chance
_MUCH = 2 / 3
_SMALL = 0.005  # half of the noise-to-signal ratio: an SQNR of 20 dB
_SAFEST = "minmax"
_PARTS = (2, 4, 8)


def search_ranges(
    candidates: Candidates,
    guess: Mapping[str, str],
    noise: Callable[[Mapping[str, Range]], float],
    bits: int,
    kept: Collection[str] = (),
    progress: Progress | None = None,
) -> dict[str, Choice]:
    """A choice for every tensor, among the ranges that methods have for it: the same methods for all, minmax the first.

    `guess` is a method for each tensor, worth to begin with. `noise` tells what ranges by tensor cost, from 0 to 1; it is asked
    at most `MEASUREMENTS` times. `kept` are the tensors that a user reads.
    """
    measured = _Measured(candidates, noise, progress)
    methods = tuple(next(iter(candidates.values())))
    safest = dict.fromkeys(candidates, _SAFEST)
    if measured(safest) <= _SMALL:
        return measured.chosen(safest)
    free = [tensor for tensor in candidates if tensor not in kept]
    starts = [safest | dict.fromkeys(free, method) for method in methods]
    best = min([*starts, {tensor: guess[tensor] for tensor in candidates}], key=measured)
    clipped = min((dict.fromkeys(candidates, method) for method in methods), key=measured)
    if measured(clipped) < _MUCH * measured(best):
        best = clipped
    for block, gain in _blocks(candidates, free):
        for method in methods:
            other = best | dict.fromkeys(block, method)
            if measured.count < MEASUREMENTS and not measured.alike(best, other) and measured(other) < gain * measured(best):
                best = other
    return measured.chosen(safest if measured(best) > _share(bits) * measured(safest) else best)


class _Measured:
    """Noise by methods of tensors, counted."""

    def __init__(self, candidates: Candidates, noise: Callable[[Mapping[str, Range]], float], progress: Progress | None) -> None:
        self._candidates, self._noise, self._progress, self.count = candidates, noise, progress, 0
        self._known: dict[tuple[str, ...], float] = {}

    def __call__(self, methods: Mapping[str, str]) -> float:
        key = tuple(methods.values())
        if key not in self._known:
            self._known[key] = self._noise({tensor: self._candidates[tensor][method] for tensor, method in methods.items()})
            self.count += 1
            if self._progress is not None:
                self._progress(self.count, MEASUREMENTS)
        return self._known[key]

    def alike(self, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        """Whether both mean the same ranges."""
        return all(ranges[one[tensor]] == ranges[other[tensor]] for tensor, ranges in self._candidates.items())

    def chosen(self, methods: Mapping[str, str]) -> dict[str, Choice]:
        """The choice together with the ranges."""
        return {tensor: Choice(method, self._candidates[tensor][method]) for tensor, method in methods.items()}


def _blocks(candidates: Candidates, free: Sequence[str]) -> Iterator[tuple[Sequence[str], float]]:
    """Tensors that change together, and the share of the noise that must be left for it."""
    for parts in _PARTS:
        size = len(free) // parts
        if size > 1:
            yield from ((free[start : start + size], _GAIN) for start in range(0, size * parts, size))
    for tensor in sorted(candidates, key=lambda name: _disagreement(candidates[name]), reverse=True):
        yield [tensor], _GAIN if tensor in free else _MUCH


def _disagreement(ranges: Mapping[str, Range]) -> float:
    """How many times wider the widest range is than the narrowest."""
    widths = [hi - lo for lo, hi in ranges.values()]
    return max(widths) / min(widths) if min(widths) > 0 else 1.0


def _share(bits: int) -> float:
    return 1.0 - max(bits - 6, 0) / 4
