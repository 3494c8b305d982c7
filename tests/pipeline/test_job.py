from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from qconv.data.image_options import ImageOptions
from qconv.data_free import distilled as moved_source
from qconv.data_free.distilled import MovedSource
from qconv.errors import QconvError, UsageError
from qconv.pipeline import Job, load_prepared
from qconv.pipeline.samples import synthetic
from qconv.statistics.shard import Shard

JOB = Job(Path("m.onnx"), "ab" * 32, images=ImageOptions(preset="tf"), samples=7)


def test_a_job_reaches_another_process_unchanged() -> None:
    assert pickle.loads(pickle.dumps(JOB)) == JOB  # noqa: S301 - what multiprocessing and Ray do


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "magic"}, "magic"),
        ({"method": "ema", "shard": Shard(1, 2)}, "order of the samples"),
        ({"method": "ema", "resume": True}, "order of the samples"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(change: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        replace(JOB, **change)  # type: ignore[arg-type]


def test_only_files_and_folders_can_be_opened_again(tmp_path: Path) -> None:
    assert JOB.data_spec is None
    assert replace(JOB, data="module:function").data_spec is None
    spec = replace(JOB, data=str(tmp_path)).data_spec
    assert spec is not None
    assert (spec.path, spec.samples) == (str(tmp_path.resolve()), 7)


def test_identity_tells_runs_apart_that_must_not_be_mixed(sample_models: Path) -> None:
    model = load_prepared(sample_models / "digits_mlp.onnx")
    job = Job(model.path, model.digest, str(sample_models / "digits_calib.npz"))
    source = job.open_samples(model)
    same = replace(job, threads=3, method="mse", progress_file=Path("p"), resume=True)
    assert same.identity(source, ["b", "a"]) == job.identity(source, ["a", "b"])
    others = [replace(job, exact=True), replace(job, shard=Shard(1, 2)), replace(job, samples=5), replace(job, digest="")]
    for other in others:
        found, expected = other.identity(source, ["a"]), job.identity(source, ["a"])
        assert sum(found[key] != expected[key] for key in expected) == 1


def test_synthetic_samples_are_moved_and_not_sharded(sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_source, "MOST_ROUNDS", 2)
    model = load_prepared(sample_models / "digits_resnet.onnx")
    job = Job(model.path, model.digest, samples=3)
    rounds: list[tuple[int, int | None]] = []
    source = job.open_samples(model, lambda done, total: rounds.append((done, total)))
    assert isinstance(source, MovedSource) and len(source) == 3 and rounds == [(1, 2), (2, 2)]
    assert synthetic(source) is source.origin
    with pytest.raises(UsageError, match="worth sharding"):
        replace(job, shard=Shard(1, 2)).open_samples(model)


def test_samples_are_those_that_are_named(sample_models: Path) -> None:
    model = load_prepared(sample_models / "digits_mlp.onnx")
    job = Job(model.path, model.digest, str(sample_models / "digits_calib.npz"), samples=3)
    assert len(list(job.open_samples(model))) == 3
    assert job.open_samples(model).warning is None
    assert "no data was given" in str(replace(job, data=None).open_samples(model).warning)
    with pytest.raises(QconvError, match="nowhere"):
        replace(job, data="nowhere").open_samples(model)
