"""Calibrations of shards add up to that of the whole, byte for byte, in any order and grouping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path

from qconv.errors import ArtifactError, UsageError
from qconv.statistics.calibration import Calibration
from qconv.statistics.moments_file import Table, moments_beside
from qconv.statistics.shard import Coverage
from qconv.statistics.summary import Summary

_SHARDS = "merge files that `qconv calibrate --shard` wrote"


def merge(calibrations: Mapping[str, Calibration]) -> Calibration:
    """The calibration of the shards of all; the keys are for messages. Has a coverage where shards are still missing.

    Raises ArtifactError where two cover the same shard, or differ in the model, the data or an option; UsageError for moving
    averages, which depend on the order of the samples.
    """
    coverages = {name: _coverage(name, calibration) for name, calibration in calibrations.items()}
    (first_name, first), *others = calibrations.items()
    for name, calibration in others:
        for what in _differences(first, calibration):
            raise ArtifactError(f"{first_name} and {name} differ in {what}; merge shards of one and the same run")
    samples = _samples(coverages)
    count, exact = _of(first)
    tensors = reduce(_together, (calibration.tensors for calibration in calibrations.values()))
    shards = Coverage(count, samples, exact) if len(samples) < count else None
    moments = reduce(_moments_together, (calibration.moments for calibration in calibrations.values()))
    return replace(first, samples=sum(samples.values()), tensors=tensors, shards=shards, moments=moments, moments_sha256=None)


def _together(a: Mapping[str, Summary], b: Mapping[str, Summary]) -> Mapping[str, Summary]:
    return {name: a[name].merge(b[name]) for name in a}


def _moments_together(a: Table | None, b: Table | None) -> Table | None:
    return None if a is None or b is None else {sight: a[sight].merge(b[sight]) for sight in a}


def _coverage(name: str, calibration: Calibration) -> Coverage:
    if calibration.method == "ema" or any(summary.averages is not None for summary in calibration.tensors.values()):
        raise UsageError(f"{name} holds moving averages, which depend on the order of the samples; use another --method than ema")
    if calibration.derived:
        raise ArtifactError(f"{name} was made without samples, so there is nothing to add up; {_SHARDS}")
    if calibration.moments is None and calibration.moments_sha256 is not None:
        raise ArtifactError(f"{name} has second moments whose file is gone; put {moments_beside(Path(name))} back beside it")
    if calibration.shards is None:
        raise ArtifactError(f"{name} is no calibration of shards: it covers all of its samples already; {_SHARDS}")
    return calibration.shards


def _of(calibration: Calibration) -> tuple[int, bool]:
    assert calibration.shards is not None
    return calibration.shards.count, calibration.shards.exact


def _differences(a: Calibration, b: Calibration) -> Iterator[str]:
    """What sets two runs apart, in words."""
    if a.model_sha256 != b.model_sha256:
        yield "the model"
    if _of(a)[0] != _of(b)[0]:
        yield f"the number of shards ({_of(a)[0]} and {_of(b)[0]})"
    if a.setup != b.setup:
        yield "the way pictures are read, the exclusions or the pins"
    if (a.source, a.data, a.warning) != (b.source, b.data, b.warning):
        yield f"the data or how it is read ({a.source} and {b.source})"
    if a.method != b.method:
        yield f"--method ({a.method} and {b.method})"
    if _of(a)[1] != _of(b)[1]:
        yield "--exact"
    if _layers(a) != _layers(b):
        yield "the layers whose second moments were taken, as by --moments"
    if a.tensors.keys() != b.tensors.keys():
        yield "the tensors that were observed, as by --exclude"


def _layers(calibration: Calibration) -> frozenset[str] | None:
    return None if calibration.moments is None else frozenset(calibration.moments)


def _samples(coverages: Mapping[str, Coverage]) -> dict[int, int]:
    """The samples by shard, over all files. Earlier shards have as many as later ones, or one more."""
    covered: dict[int, str] = {}
    samples: dict[int, int] = {}
    for name, coverage in coverages.items():
        for number in coverage.samples:
            if number in covered:
                raise ArtifactError(f"{covered[number]} and {name} both cover shard {number}; give each shard once")
            covered[number] = name
        samples |= coverage.samples
    ordered = [samples[number] for number in sorted(samples)]
    if ordered != sorted(ordered, reverse=True) or ordered[0] - ordered[-1] > 1:
        raise ArtifactError("the shards have numbers of samples that do not fit together: the data has changed; run them anew")
    return samples
