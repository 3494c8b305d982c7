"""Where the networks come from, with the samples that calibrate them, the samples that measure them, and a task score.

The zoo is a folder with models/NAME.onnx and a zoo.py that has feeds(name, part, limit) and score(name, model); QCONV_ZOO names
it, and ../shared/zoo beside the repository is the default. The sample models of this project need no zoo.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.feeds import ROOT, Array, Feeds
from qconv.data.source import Sample
from qconv.model.session import open_session

SAMPLE_MODELS = ROOT / "sample_models"
ZOO_NETWORKS = (
    "mobilenet_v1_025_224_bn",
    "squeezenet10_winml",
    "cifar_resnet20_bn",
    "mlperf_kws_dscnn_bn",
    "mlperf_strww_bn",
    "mlperf_ad01_bn",
    "mnist_cntk",
    "ultraface_rfb320",
)
DETECTORS = ("digits_yolo",)  # of the sample models
LARGE_NETWORKS = ("ppocr_v3_det",)  # of 0.1 s and more a sample: for calibration only
NOISE_SHAPES = {"mlperf_ad01_bn": (1, 640)}  # networks of the zoo without data: standard normal noise of this shape, no score
SAMPLES = 100  # for calibration, and again for evaluation; all where there are fewer


@dataclass(frozen=True)
class Case:
    """A float model and its samples, each a feed of one sample; `score` takes a model with the same inputs and outputs."""

    name: str
    path: Path
    calibration: Sequence[Feeds]
    evaluation: Sequence[Feeds]
    score: Callable[[Path], float] | None = None


Cases = Mapping[str, Callable[[], Case]]


@dataclass(frozen=True)
class FeedSource:
    """Feeds in memory as a qconv.SampleSource."""

    feeds: Sequence[Feeds]
    description: str = "samples of the benchmark"
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.feeds)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(feeds, None, f"sample[{index}]") for index, feeds in enumerate(self.feeds))


def available(*, large: bool = False) -> Cases:
    """Name -> what opens the case. Those of the zoo are left out where the zoo, or the file, is absent."""
    zoo = zoo_folder()
    found: dict[str, Callable[[], Case]] = {}
    for name in (*ZOO_NETWORKS, *(LARGE_NETWORKS if large else ())):
        path = zoo / "models" / f"{name}.onnx"
        if path.is_file():
            found[name] = partial(_noise, name, path) if name in NOISE_SHAPES else partial(_from_zoo, name, path)
    for path in sorted(SAMPLE_MODELS.glob("*.onnx")):
        found[path.stem] = partial(_digits, path)
    return found


def named(cases: Cases, globs: Sequence[str]) -> Cases:
    """Those whose names match one of the globs; all of them where there are none."""
    return {name: case for name, case in cases.items() if not globs or any(fnmatchcase(name, glob) for glob in globs)}


def zoo_folder() -> Path:
    """Where the zoo is, if it is."""
    return Path(os.environ.get("QCONV_ZOO", ROOT.parent / "shared" / "zoo"))


def zoo_module() -> Any:
    """The zoo.py of the zoo: feeds(name, part, limit), score(name, model), SCORES and PREPARE by name."""
    return _module("qconv_zoo", zoo_folder() / "zoo.py")


def _module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_zoo(name: str, path: Path) -> Case:
    module = zoo_module()

    def score(model: Path) -> float:
        return float(module.score(name, model))

    calibration, evaluation = (list(module.feeds(name, part, SAMPLES)) for part in ("calib", "eval"))
    return Case(name, path, calibration, evaluation, score)


def _noise(name: str, path: Path) -> Case:
    key = open_session(path, threads=1).get_inputs()[0].name
    calibration, evaluation = (
        [{key: generator.standard_normal(NOISE_SHAPES[name], np.float32)} for _ in range(SAMPLES)]
        for generator in (np.random.default_rng(1), np.random.default_rng(2))
    )
    return Case(name, path, calibration, evaluation)


def _digits(path: Path) -> Case:
    inputs = [value.name for value in open_session(path, threads=1).get_inputs()]
    kind = "digits_words" if "input_ids" in inputs else "digits_scenes" if path.stem in DETECTORS else "digits"
    calibration, test = (_arrays(SAMPLE_MODELS / f"{kind}_{part}.npz") for part in ("calib", "test"))
    feeds = _rows(test, inputs)

    def score(model: Path) -> float:
        session = open_session(model, threads=1)
        return score_of_digits(np.concatenate([session.run(None, dict(feed))[0] for feed in feeds]), test)

    return Case(path.stem, path, _rows(calibration, inputs), feeds[:SAMPLES], score)


def score_of_digits(outputs: Array, test: Feeds) -> float:
    """The accuracy of logits, or the F1 of detections, for the samples of a test file of the sample models."""
    if "boxes" in test:
        return float(_module("detections", SAMPLE_MODELS / "detections.py").f1(outputs, test["boxes"], test["digits"]))
    return float(np.mean(outputs.argmax(1) == test["labels"]))


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path) as file:
        return dict(file)


def _rows(arrays: Feeds, names: Sequence[str]) -> list[Feeds]:
    """A feed for each sample."""
    return [{name: arrays[name][index : index + 1] for name in names} for index in range(len(arrays[names[0]]))]
