"""qconv turns a float ONNX network into a certified integer-only one.

    qconv.calibrate(...)    samples -> Calibration: what values every tensor takes
    qconv.quantize(...)     float model + Calibration -> integer model
    qconv.verify(...)       both models over data -> Report, with a verdict

The same three steps as the commands of that name. Names are loaded when they are first used, so that `qconv --help` does not
wait for onnxruntime.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from qconv.version import VERSION

__version__ = VERSION

__all__ = [
    "Analysis",
    "ArtifactError",
    "Calibration",
    "DataError",
    "FloatNodesError",
    "ModelError",
    "OutputError",
    "QconvError",
    "QuantConfig",
    "QuantPlan",
    "Report",
    "Rule",
    "UsageError",
    "analyze",
    "calibrate",
    "load_config",
    "quantize",
    "verify",
]

if TYPE_CHECKING:
    from qconv.analyze.analysis import Analysis
    from qconv.config import QuantConfig, Rule
    from qconv.config_file import load_config
    from qconv.errors import ArtifactError, DataError, FloatNodesError, ModelError, OutputError, QconvError, UsageError
    from qconv.pipeline.analyze import analyze
    from qconv.pipeline.calibrate import calibrate
    from qconv.pipeline.quantize import quantize
    from qconv.pipeline.verify import verify
    from qconv.plan.quant_plan import QuantPlan
    from qconv.statistics.calibration import Calibration
    from qconv.verify.report.report import Report
else:
    _HOME = {
        "Analysis": "qconv.analyze.analysis",
        "ArtifactError": "qconv.errors",
        "DataError": "qconv.errors",
        "FloatNodesError": "qconv.errors",
        "ModelError": "qconv.errors",
        "OutputError": "qconv.errors",
        "QconvError": "qconv.errors",
        "UsageError": "qconv.errors",
        "Calibration": "qconv.statistics.calibration",
        "QuantConfig": "qconv.config",
        "Rule": "qconv.config",
        "load_config": "qconv.config_file",
        "QuantPlan": "qconv.plan.quant_plan",
        "Report": "qconv.verify.report.report",
        "analyze": "qconv.pipeline.analyze",
        "calibrate": "qconv.pipeline.calibrate",
        "quantize": "qconv.pipeline.quantize",
        "verify": "qconv.pipeline.verify",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'qconv' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    class _Package(ModuleType):
        """Keeps `qconv.calibrate` and `qconv.verify` the functions: importing the packages of that name must not replace them."""

        def __setattr__(self, name: str, value: object) -> None:
            if not (name in _HOME and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package
