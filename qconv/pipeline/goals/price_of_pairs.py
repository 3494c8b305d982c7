"""What safe pairs of weights (quant/saturation.py) cost: the accuracy that the target x86-vnni would have, where it is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.data.source import Sample, SampleSource
from qconv.model.machine import adds_pairs_in_int16
from qconv.model.scratch import scratch_folder
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.quantize import Quantized, quantize
from qconv.pipeline.verify import QuickCheck, quick_check
from qconv.plan.quant_plan import QuantPlan
from qconv.prepare import prepare
from qconv.ranges.search.output_error import noise_of, outputs_of
from qconv.recover.channels.equalize import apply_scales
from qconv.recover.twin import Twin
from qconv.statistics.calibration import Calibration
from qconv.targets import target_of

_MATTERS_DB = 0.5
_SAMPLES = 8


@dataclass(frozen=True)
class PairPrice:
    """The price of safe pairs: by how many dB they add noise at the outputs, simulated, and what the target x86-vnni would give.

    `better` is the SQNR in dB of outputs that would gain half a dB and more. It is None where it is not measured: recovery made
    good a part of what the simulation shows, and would take most of the time for the other target (`recovered`), or the other
    model would be wrong on this processor.
    """

    simulated_db: float
    better: Mapping[str, float] | None
    recovered: bool = False

    @property
    def matters(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.better) or (self.better is None and self.simulated_db >= _MATTERS_DB)


def pair_price(
    loaded: PreparedModel, calibration: Calibration, made: Quantized, config: QuantConfig, source: SampleSource,
    figures: QuickCheck, threads: int = 0,
) -> PairPrice:  # fmt: skip
    """What `made` pays; `figures` are those of it. Only where the simulation says that it pays, the model is made anew."""
    without = target_of(config.target).all_bits
    if without is None or config.pixels is not None:
        return PairPrice(0.0, {})
    fresh = loaded.original.clone()
    prepare(fresh, keep_tensors=loaded.imported is not None)
    again = PreparedModel(loaded.path, loaded.digest, fresh, loaded.declared, loaded.original, loaded.imported)
    config = again.with_thresholds(config)
    other = replace(config, target=without, effort="none")
    scaled = fresh.clone()
    apply_scales(scaled, made.plan, config.io)
    simulated = _simulated_price(scaled, made.plan, config, other, list(islice(iter(source), _SAMPLES)), threads)
    if simulated < _MATTERS_DB:
        return PairPrice(simulated, {})
    if made.recovery is not None and made.recovery.weights.layers:
        return PairPrice(simulated, None, recovered=True)
    if adds_pairs_in_int16():
        return PairPrice(simulated, None)
    result = quantize(again, calibration, config=other, samples=source, threads=threads)
    with scratch_folder() as folder:
        path = folder / "other.onnx"
        result.save(path)
        found = quick_check(loaded, path, result.model, source).sqnr_db
    return PairPrice(simulated, {name: db for name, db in found.items() if db >= figures.sqnr_db[name] + _MATTERS_DB})


def _simulated_price(
    model: ir.Model, plan: QuantPlan, config: QuantConfig, other: QuantConfig, samples: list[Sample], threads: int
) -> float:
    """By how many dB the noise at the outputs is greater for the weights of `config` than for those of `other`."""
    feeds = [sample.feeds for sample in samples]
    exact, *simulated = (
        outputs_of(network, feeds, threads) for network in (model, *(Twin(model, plan, way).model for way in (config, other)))
    )
    safe, free = (max(noise_of(outputs, exact), 1e-30) for outputs in simulated)
    return 10.0 * math.log10(safe / free)
