"""Models of onnx's backend tests through the pipeline; prints a line of JSON for each. Called by backend_tests.py."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from qconv import pipeline
from qconv.data.source import Sample
from qconv.errors import QconvError
from qconv.model.session import open_session


@dataclass(frozen=True)
class Given:
    """Feeds that are at hand."""

    feeds: list[Mapping[str, NDArray[Any]]]
    description: str = "inputs of a backend test"
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.feeds)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(feed, None, str(number)) for number, feed in enumerate(self.feeds))


def feeds_of(path: Path) -> list[Mapping[str, NDArray[Any]]]:
    """The stored inputs, and the same with the first one shrunk where that keeps it in the domain of its op."""
    stored = np.load(path.with_name("inputs.npz"))
    session = open_session(path, threads=1)
    names = [info.name for info in session.get_inputs()]
    arrays = {name: stored[f"input_{number}"] for number, name in enumerate(names) if f"input_{number}" in stored.files}
    first = next((name for name in arrays if arrays[name].dtype.kind == "f"), None)
    shrunk = [{k: (np.asarray(a * a.dtype.type(f)) if k == first else a) for k, a in arrays.items()} for f in (0.75, 0.5)]
    return [arrays, *(feed for feed in shrunk if _is_finite(session, feed))]


def _is_finite(session: ort.InferenceSession, feed: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a model has reals alone to say of an input."""
    try:
        outputs = session.run(None, dict(feed))
    except Exception:  # noqa: BLE001 - onnxruntime has no common class for what it raises
        return True  # the tool under test meets the same
    return all(np.isfinite(array).all() for array in outputs if isinstance(array, np.ndarray) and array.dtype.kind == "f")


def result_of(path: Path, folder: Path) -> dict[str, Any]:
    """Refused with a sentence, a defect, or converted: the worst output in dB, elements that differ, and warnings."""
    try:
        source = Given(feeds_of(path))
        loaded = pipeline.load_prepared(path)
        pipeline.self_check(loaded, source)
        calibration = pipeline.calibrate(loaded, source)
        target = folder / "m.int8.onnx"
        pipeline.quantize(path, calibration).save(target)
        report = pipeline.verify(path, target, source)
    except QconvError as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    except Exception as error:  # noqa: BLE001 - a defect is what this looks for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return {"defect": f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"}
    levels = [output.similarity.sqnr_db for output in report.outputs]
    finite = [float(level) for level in levels if level is not None and np.isfinite(level)]
    differing = sum(mismatch.differing for mismatch in report.exactness.mismatches)
    return {"db": min(finite, default=None), "mismatches": differing, "warnings": len(report.warnings)}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            print(json.dumps(result_of(Path(name), Path(scratch))), flush=True)
