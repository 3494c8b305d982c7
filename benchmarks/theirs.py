"""The same network quantized by onnxruntime.quantization: static min-max, uint8 activations, int8 weights.

All of QDQ and QOperator, per channel and per tensor, are made after its own quant_pre_process; the opponent is whichever comes
closest to the float model.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.cases import Case
from benchmarks.feeds import Feeds
from benchmarks.their_calibrator import Reader
from qconv.errors import ModelError

VARIANTS = tuple((form, per_channel) for form in ("QDQ", "QOperator") for per_channel in (True, False))
PER_CHANNEL_OPSET = 13  # the first whose QuantizeLinear has an axis
ORT_WARNING = 2  # onnxruntime's default log severity
OLDEST_IR = 7  # onnxruntime's quantizer writes what older ones cannot hold


@dataclass(frozen=True)
class Theirs:
    """The models by name of the variant, and the variants that could not be made."""

    models: Mapping[str, Path]
    failures: Mapping[str, str]


def quantize(case: Case, folder: Path) -> Theirs:
    """Every variant, written into `folder`; the ranges are the same for all, and so are collected once.

    Raises ModelError where none can be made.
    """
    with quiet():
        preprocessed, note = preprocess(case.path, folder / f"{case.name}.pre.onnx")
        ranges = folder / f"{case.name}.ranges.json"
        models: dict[str, Path] = {}
        failures = {} if note is None else {"quant_pre_process": note}
        for form, per_channel in VARIANTS:
            variant = f"{form} per {'channel' if per_channel else 'tensor'}"
            path = folder / f"{case.name}.{form}.{per_channel}.onnx"
            try:
                _quantize(preprocessed, path, case.calibration, form, per_channel, ranges)
                onnx.checker.check_model(path)
                models[variant] = path
            except Exception as error:  # noqa: BLE001 - the opponent's failures are figures of the table
                failures[variant] = _first_line(error)
    if not models:
        raise ModelError(f"onnxruntime.quantization makes nothing of {case.name}: {next(iter(failures.values()))}")
    return Theirs(models, failures)


def preprocess(source: Path, target: Path) -> tuple[Path, str | None]:
    """The model at a version that their quantizer takes, optimized by their own pre-processing, and what failed of that."""
    model = onnx.load(source)
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if version < PER_CHANNEL_OPSET:
        model = onnx.version_converter.convert_version(model, PER_CHANNEL_OPSET)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, OLDEST_IR)
    onnx.save(model, target)
    try:
        quant_pre_process(str(target), str(target), skip_symbolic_shape=True)  # symbolic shapes would need sympy
    except Exception as error:  # noqa: BLE001 - it is optional to them, and its failure a figure of the table
        return target, _first_line(error)
    return target, None


def _quantize(source: Path, target: Path, feeds: Sequence[Feeds], form: str, per_channel: bool, ranges: Path) -> None:
    quantize_static(
        str(source),
        str(target),
        Reader(feeds),
        quant_format=QuantFormat[form],
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibration_cache_path=ranges,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


@contextmanager
def quiet() -> Iterator[None]:
    """Without their hints about models, which repeat for each variant."""
    before: Any = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    ort.set_default_logger_severity(4)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        ort.set_default_logger_severity(ORT_WARNING)
