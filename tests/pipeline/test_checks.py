from __future__ import annotations

from pathlib import Path

import numpy as np

from qconv import pipeline


def test_workers_are_told_the_same_of_their_samples_as_a_run_alone(sample_models: Path, tmp_path: Path) -> None:
    with np.load(sample_models / "digits_calib.npz") as stored:
        pictures = next(stored[name] for name in stored.files if name != "labels")
    np.savez(tmp_path / "bad.npz", x=np.concatenate([255 * pictures[:9], 255 * pictures[:1]]))
    model = pipeline.load_prepared(sample_models / "digits_mobilenet.onnx")
    source = pipeline.samples_for(model, str(tmp_path / "bad.npz"))
    alone: list[str] = []
    pipeline.calibrate(model, source, warn=alone.append)
    assert len(alone) == 3
    assert pipeline.check_samples(model, source, 256) == alone
    assert "9 samples are far too few" in pipeline.check_samples(model, source, 9)[0]


def test_nothing_is_said_of_samples_that_are_made_up(sample_models: Path) -> None:
    model = pipeline.load_prepared(sample_models / "digits_mlp.onnx")
    assert pipeline.check_samples(model, pipeline.samples_for(model, None, samples=3), 256) == []
