"""Weight-only and dynamic quantization of a prepared model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import onnx_ir.passes.common as common_passes

from qconv.config import QuantConfig
from qconv.data.prefetch import prefetch
from qconv.data.source import SampleSource, known_length
from qconv.errors import FloatNodesError
from qconv.modes import Rewritten, to_dynamic, to_weight_only
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import recorded_samples, synthetic
from qconv.plan.eligible import touches_float
from qconv.recover.second_moments import PILOTS, MomentsObserver
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress
from qconv.statistics.second_moments import SecondMoments

_SAMPLES = 400  # at most, that second moments are taken of here


@dataclass(frozen=True)
class InMode:
    """What a mode did, and how many samples its moments are of: 0 where codes are the nearest ones."""

    rewritten: Rewritten
    samples: int = 0


def in_mode(
    loaded: PreparedModel, calibration: Calibration | None, config: QuantConfig, samples: SampleSource | None, threads: int = 0,
    progress: Progress | None = None,
) -> InMode:  # fmt: skip
    """Rewrites the prepared model as `config.mode` says. Without `samples`, those of the calibration are opened again.

    Raises FloatNodesError where an integer-only model is asked for, which these modes cannot give.
    """
    if config.integer_only:
        raise FloatNodesError(_refusal(loaded, config))
    if config.mode == "dynamic":
        found, count = to_dynamic(loaded.ir, config), 0
    else:
        moments, count = _moments(loaded, calibration, config, samples, threads, progress)
        found = to_weight_only(loaded.ir, config, moments)
    common_passes.RemoveUnusedNodesPass()(loaded.ir)
    loaded.ir.graph.sort()
    return InMode(found, count if found.fitted else 0)


def _moments(
    loaded: PreparedModel, calibration: Calibration | None, config: QuantConfig, samples: SampleSource | None, threads: int,
    progress: Progress | None,
) -> tuple[Mapping[str, SecondMoments], int]:  # fmt: skip
    """The moments of real samples, and of how many; none where there are none, or no effort is asked for."""
    if config.effort == "none":
        return {}, 0
    if calibration is not None and calibration.moments is not None:
        return calibration.moments, calibration.samples
    if samples is None and calibration is not None:
        samples = recorded_samples(loaded, calibration)
    if samples is None or synthetic(samples) is not None:
        return {}, 0
    observer = MomentsObserver(loaded.ir, islice(iter(samples), PILOTS), threads)
    length, done = known_length(samples), 0
    total = None if length is None else min(length, _SAMPLES)
    for sample in islice(prefetch(samples), _SAMPLES):
        observer.observe(sample)
        done += 1
        if progress is not None:
            progress(done, total)
    return observer.moments(), done


def _refusal(loaded: PreparedModel, config: QuantConfig) -> str:
    counts = Counter(node.op_type for node in loaded.ir.graph if touches_float(node))
    names = [f"{count} {op}" for op, count in counts.most_common()]
    parts = {
        "weight-only": "computes everything in float, with weights that it unpacks from codes",
        "dynamic": "computes integer sums only; scales, biases and all between the layers are float",
    }
    what = f"mode {config.mode} {parts[config.mode]}"
    return f"{what}: in float are {', '.join(names)}; leave out --integer-only or --mode"
