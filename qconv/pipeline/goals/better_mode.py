"""What mode dynamic would give where static quantization loses much: networks of products with matrices, such as transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.errors import UsageError
from qconv.model.scratch import scratch_folder
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.quantize import quantize
from qconv.pipeline.samples import synthetic
from qconv.pipeline.verify import QuickCheck, quick_check
from qconv.prepare import prepare
from qconv.verify.measure.faster import matrix_share

_GOOD_DB = 25.0  # an output with more than this has little to gain
_MATTERS_DB = 3.0
_SHARE = 0.5  # of the weights, which must be matrices: the mode leaves convolutions in float
_SAMPLES = 8


def dynamic_gain(
    loaded: PreparedModel, config: QuantConfig, source: SampleSource, figures: QuickCheck, threads: int = 0
) -> Mapping[str, float]:
    """The SQNR in dB of outputs that mode dynamic would improve by 3 dB and more; empty where it was not tried.

    `figures` are those of the static model, whose outputs must have less than 25 dB for a trial.
    """
    asks_static = config.integer_only or config.io != "float" or config.pins
    worst = min(figures.sqnr_db.values(), default=_GOOD_DB)
    if asks_static or worst >= _GOOD_DB or synthetic(source) is not None or matrix_share(loaded.original.graph) < _SHARE:
        return {}
    model = loaded.original.clone()
    prepare(model)
    wanted = QuantConfig(mode="dynamic", exclude=config.exclude, target=config.target)
    try:
        result = quantize(replace(loaded, ir=model), None, config=wanted, samples=source, threads=threads)
    except UsageError:  # it has nothing to quantize
        return {}
    with scratch_folder() as folder:
        path = folder / "dynamic.onnx"
        result.save(path)
        found = quick_check(loaded, path, result.model, source, samples=_SAMPLES).sqnr_db
    before = {name: db for name, db in figures.sqnr_db.items() if math.isfinite(db)}
    return {name: db for name, db in found.items() if name in before and db >= before[name] + _MATTERS_DB}
