"""onnxruntime.quantization's min-max calibrator as quantize_static sets it up, but on one thread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.calibrate import MinMaxCalibrater
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from benchmarks.feeds import Feeds


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Feeds, once."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next feed, None after the last."""
        return next(self._rest, None)


class Calibrator(MinMaxCalibrater):  # type: ignore[misc]  # as above
    """Their class, whose session takes all cores by default."""

    def create_inference_session(self) -> None:
        """As theirs, with graph optimization disabled, on one thread."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.infer_session = ort.InferenceSession(self.augmented_model_path, options, providers=["CPUExecutionProvider"])


def calibrate(preprocessed: Path, feeds: Iterable[Feeds], folder: Path) -> None:
    """Collects the ranges of a model that went through quant_pre_process; `folder` takes their working files."""
    ops = sorted({*QDQRegistry, *QLinearOpsRegistry})
    calibrator = Calibrator(preprocessed, ops, augmented_model_path=str(folder / "augmented.onnx"))
    calibrator.augment_graph()
    calibrator.create_inference_session()
    calibrator.collect_data(Reader(feeds))
    calibrator.compute_data()
