"""onnxruntime.quantization's calibrators as quantize_static sets them up, but on one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import CalibraterBase, create_calibrator
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from benchmarks.feeds import Feeds


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Feeds, once."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next feed, None after the last."""
        return next(self._rest, None)


def calibrate(method: str, preprocessed: Path, feeds: Iterable[Feeds], folder: Path) -> None:
    """Collects the ranges of a model that went through quant_pre_process; `folder` takes their working files."""
    ops = sorted({*QDQRegistry, *QLinearOpsRegistry})
    with _one_thread():
        calibrator = create_calibrator(preprocessed, ops, str(folder / "augmented.onnx"), CalibrationMethod[method])
    calibrator.collect_data(Reader(feeds))
    calibrator.compute_data()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Their sessions take all cores, and have no option for it."""
    theirs = CalibraterBase.create_inference_session
    CalibraterBase.create_inference_session = _open_session
    try:
        yield
    finally:
        CalibraterBase.create_inference_session = theirs


def _open_session(calibrator: CalibraterBase) -> None:
    """As theirs, with graph optimization disabled, on one thread."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    calibrator.infer_session = ort.InferenceSession(
        calibrator.augmented_model_path, options, providers=calibrator.execution_providers
    )
