from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qconv import pipeline
from qconv.data.source import Sample, SampleSource
from qconv.errors import ArtifactError, DataError, UsageError
from qconv.statistics import checkpoint as resume
from qconv.statistics.checkpoint import progress_beside, progress_of, remove_progress
from qconv.statistics.shard import Shard


class Breaking:
    """A source that fails at one sample."""

    warning: str | None = None

    def __init__(self, source: SampleSource, breaks: int) -> None:
        self._source, self._breaks, self.description = source, breaks, source.description

    def __iter__(self) -> Iterator[Sample]:
        for index, sample in enumerate(self._source):
            if index == self._breaks:
                raise DataError("the power is gone")
            yield sample


@pytest.fixture
def source(sample_models: Path) -> SampleSource:
    return pipeline.samples_for(
        pipeline.load_prepared(sample_models / "digits_mlp.onnx"), str(sample_models / "digits_calib.npz")
    )


@pytest.mark.parametrize("shard", [Shard(), Shard(2, 3)])
@pytest.mark.parametrize("breaks", [97, 99])
def test_a_broken_run_goes_on(
    tmp_path: Path, sample_models: Path, source: SampleSource, shard: Shard, breaks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    monkeypatch.setattr(resume, "_SHARE", 0)
    model, file = sample_models / "digits_mlp.onnx", tmp_path / "partial"
    whole = pipeline.calibrate(model, source, shard=shard)
    with pytest.raises(DataError, match="power"):
        pipeline.calibrate(model, Breaking(source, breaks), shard=shard, progress_file=file)
    done = json.loads(file.read_text())["done"]
    # Samples in hand when the source breaks are still observed; the last parcel is complete.
    assert done == len(range(shard.number - 1, breaks, shard.count))
    calls: list[int] = []
    resumed = pipeline.calibrate(
        model, source, shard=shard, progress_file=file, resume=True, progress=lambda done, total: calls.append(done)
    )
    assert calls == list(range(done + 1, whole.samples + 1))
    assert resumed.dumps() == whole.dumps()
    again = pipeline.calibrate(model, source, shard=shard, progress_file=file, resume=True)
    assert again.dumps() == whole.dumps()


def test_progress_of_another_run_is_refused(
    tmp_path: Path, sample_models: Path, source: SampleSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    model, file = sample_models / "digits_mlp.onnx", tmp_path / "partial"
    pipeline.calibrate(model, source, progress_file=file)
    with pytest.raises(ArtifactError, match=r"another --exact and --shard; run without --resume"):
        pipeline.calibrate(model, source, progress_file=file, resume=True, shard=Shard(1, 2), exact=True)
    with pytest.raises(ArtifactError, match="another data"):
        pipeline.calibrate(model, str(sample_models / "digits_test.npz"), progress_file=file, resume=True)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "qconv-progress-1", "done": "x"}', '{"format": "qconv-progress-0"}']
)
def test_damaged_progress_is_one_sentence(tmp_path: Path, sample_models: Path, source: SampleSource, text: str) -> None:
    file = tmp_path / "partial"
    file.write_text(text)
    with pytest.raises(ArtifactError, match=r"partial cannot be read .* without --resume"):
        pipeline.calibrate(sample_models / "digits_mlp.onnx", source, progress_file=file, resume=True)


def test_nothing_to_resume_is_a_fresh_start(tmp_path: Path, sample_models: Path, source: SampleSource) -> None:
    model = sample_models / "digits_mlp.onnx"
    found = pipeline.calibrate(model, source, progress_file=tmp_path / "partial", resume=True)
    assert found == pipeline.calibrate(model, source)
    assert not list(tmp_path.iterdir())  # a run of less than two seconds leaves nothing


def test_moving_averages_do_not_resume(tmp_path: Path, sample_models: Path, source: SampleSource) -> None:
    with pytest.raises(UsageError, match="order"):
        pipeline.calibrate(sample_models / "digits_mlp.onnx", source, method="ema", progress_file=tmp_path / "p", resume=True)


def test_only_progress_is_removed(tmp_path: Path) -> None:
    file = progress_beside(tmp_path / "m.json")
    ours = [file, progress_of(file, Shard(1, 2)), progress_of(file, Shard(12, 16))]
    ours += [path.with_name(f"{path.name}.new") for path in ours]  # drafts of a killed run
    others = [tmp_path / name for name in ("m.json", "m.json.partials", "am.json.partial")]
    for path in (*ours, *others):
        path.touch()
    remove_progress(file)
    assert sorted(tmp_path.iterdir()) == sorted(others)
