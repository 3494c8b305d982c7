from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from qconv import pipeline
from qconv.errors import ArtifactError, QconvError, UsageError
from qconv.statistics.averages import Averages
from qconv.statistics.calibration import Calibration, DataSpec
from qconv.statistics.merge import merge
from qconv.statistics.shard import Coverage, Shard
from qconv.statistics.summary import Summary


def calibrated(sample_models: Path, shard: Shard) -> Calibration:
    data = str(sample_models / "digits_calib.npz")
    return pipeline.calibrate(sample_models / "digits_resnet.onnx", data, samples=37, shard=shard, threads=1)


@pytest.fixture(scope="module")
def shards(sample_models: Path) -> list[Calibration]:
    return [calibrated(sample_models, Shard(number, 8)) for number in range(1, 9)]


@pytest.fixture(scope="module")
def whole(sample_models: Path) -> str:
    return calibrated(sample_models, Shard()).dumps()


@pytest.mark.parametrize("seed", range(5))
def test_any_order_and_grouping_gives_the_file_of_one_run(shards: list[Calibration], whole: str, seed: int) -> None:
    random = Random(seed)
    files = {str(index): Calibration.loads(shard.dumps(), "") for index, shard in enumerate(shards)}
    while len(files) > 1:
        group = random.sample(sorted(files), random.randint(2, min(4, len(files))))
        merged = merge({name: files.pop(name) for name in group})
        files["+".join(group)] = Calibration.loads(merged.dumps(), "")
    (merged,) = files.values()
    assert merged.dumps() == whole


def test_more_shards_than_samples(sample_models: Path) -> None:
    data = str(sample_models / "digits_calib.npz")
    model = pipeline.load_prepared(sample_models / "digits_mlp.onnx")
    found = {str(i): pipeline.calibrate(model, data, samples=3, shard=Shard(i, 5), threads=1) for i in range(1, 6)}
    assert [calibration.samples for calibration in found.values()] == [1, 1, 1, 0, 0]
    assert merge(found).dumps() == pipeline.calibrate(model, data, samples=3, threads=1).dumps()


A = Calibration(
    "ab" * 32, "minmax", 3, "d.npz", None, {"t": Summary.of(np.ones(4, np.float32))}, DataSpec("/d.npz"),
    shards=Coverage(3, {1: 3}, False),
)  # fmt: skip
B = replace(A, shards=Coverage(3, {2: 3}, False))


def test_missing_shards_are_told() -> None:
    merged = merge({"a": A, "b": B})
    assert merged.samples == 6
    (warning,) = merged.warnings
    assert "covers 2 of 3 shards" in warning and warning.endswith(": 3")
    assert merged.origin()["warning"] == warning
    assert Calibration.loads(merged.dumps(), "") == merged


@pytest.mark.parametrize(
    ("other", "error", "reason"),
    [
        (replace(A, samples=4), ArtifactError, "a and b both cover shard 1"),
        (replace(B, shards=None), ArtifactError, "b is no calibration of shards: it covers all"),
        (replace(B, shards=None, derived={"t": (0.0, 1.0)}), ArtifactError, "b was made without samples"),
        (replace(B, derived={"t": (0.0, 1.0)}), ArtifactError, "b was made without samples"),
        (replace(B, model_sha256="cd" * 32), ArtifactError, "differ in the model"),
        (replace(B, shards=Coverage(4, {2: 3}, False)), ArtifactError, r"the number of shards \(3 and 4\)"),
        (replace(B, shards=Coverage(3, {2: 3}, True)), ArtifactError, "--exact"),
        (replace(B, source="e.npz"), ArtifactError, r"the data .*d.npz and e.npz"),
        (replace(B, data=DataSpec("/d.npz", samples=9)), ArtifactError, "the data"),
        (replace(B, method="mse"), ArtifactError, r"--method \(minmax and mse\)"),
        (replace(B, tensors={}), ArtifactError, "--exclude"),
        (replace(B, shards=Coverage(3, {2: 4}, False)), ArtifactError, "the data has changed"),
        (replace(B, shards=Coverage(3, {2: 1}, False)), ArtifactError, "the data has changed"),
        (replace(B, method="ema"), UsageError, "b holds moving averages"),
        (replace(B, tensors={"t": replace(B.tensors["t"], averages=Averages(0, 1, 1))}), UsageError, "moving averages"),
    ],
)
def test_what_does_not_belong_together_is_refused(other: Calibration, error: type[QconvError], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        merge({"a": A, "b": other})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2", "1 /2", "٣/٤"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="third of sixteen"):
        Shard.parse(text)


def test_a_shard_is_read_as_written() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"of": 3', '"of": "three"'),
        lambda text: text.replace('"of": 3', '"of": 0'),
        lambda text: text.replace('{"1": 3}', '{"4": 3}'),
        lambda text: text.replace('{"1": 3}', '{"1": -3}'),
        lambda text: text.replace('{"1": 3}', "{}"),
    ],
)
def test_damaged_shards(change: Callable[[str], str]) -> None:
    assert change(A.dumps()) != A.dumps()
    with pytest.raises(ArtifactError, match="damaged"):
        Calibration.loads(change(A.dumps()), "a.json")


def test_order_dependence_and_made_up_data_are_refused(sample_models: Path) -> None:
    model = sample_models / "digits_mlp.onnx"
    with pytest.raises(UsageError, match="method ema depends on the order"):
        pipeline.calibrate(model, str(sample_models / "digits_calib.npz"), method="ema", shard=Shard(1, 2))
    with pytest.raises(UsageError, match="--data"):
        pipeline.calibrate(model, shard=Shard(1, 2))


def test_shards_are_cut_by_the_number_of_the_sample(shards: list[Calibration]) -> None:
    assert [shard.samples for shard in shards] == [5, 5, 5, 5, 5, 4, 4, 4]
    assert all(a.tensors != b.tensors for a, b in pairwise(shards))
