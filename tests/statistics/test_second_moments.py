"""Second moments are exact sums of whole numbers that merge to the same bytes in any order; their file is the same bytes too."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest

from qconv import pipeline
from qconv.errors import ArtifactError, UsageError
from qconv.statistics.calibration import Calibration
from qconv.statistics.merge import merge
from qconv.statistics.moments_file import StoredMoments, digest_of, moments_beside, write_moments
from qconv.statistics.second_moments import BITS, SecondMoments, Sums, exponent_for, steps_of
from qconv.statistics.shard import Shard


def summed(rows: np.ndarray, exponent: int = -8, *, on_disk: bool = False) -> SecondMoments:
    sums = Sums(exponent, *rows.shape[::2], on_disk=on_disk)
    for start in range(0, rows.shape[1], 70):
        part, cut = steps_of(rows[:, start : start + 70], exponent)
        sums.add(part, cut)
    return sums.moments()


def test_sums_are_those_of_whole_numbers() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 500, 6)).astype(np.float32)
    steps = np.rint(rows.astype(np.float64) * 256).astype(np.int64)
    for found in (summed(rows), summed(rows, on_disk=True)):
        assert found.count == 500 and found.cut == 0
        assert np.array_equal(found.total, steps.sum(axis=1))
        assert np.array_equal(found.gram, np.einsum("grk,grj->gkj", steps, steps))
    assert np.allclose(found.square, np.einsum("grk,grj->gkj", rows, rows) / 500, atol=0.02)  # steps of 1/256


@pytest.mark.parametrize("largest", [1e-20, 0.3, 1.0, 1000.0, 0.0])
def test_the_largest_value_of_the_first_samples_has_twelve_bits(largest: float) -> None:
    steps, cut = steps_of(np.asarray([largest, -8 * largest], np.float32), exponent_for(largest))
    assert cut <= 1 and abs(int(steps[0])) <= 2**BITS
    assert largest == 0.0 or abs(int(steps[0])) >= 2 ** (BITS - 1)


def test_what_lies_far_out_is_cut_and_counted() -> None:
    steps, cut = steps_of(np.asarray([1.0, 100.0, -100.0], np.float32), exponent_for(1.0))
    assert (cut, steps.tolist()) == (2, [4096, 32767, -32768])


def test_moments_of_other_steps_do_not_merge() -> None:
    found = summed(np.ones((1, 4, 2), np.float32))
    with pytest.raises(ArtifactError, match="cannot be added up"):
        found.merge(replace(found, exponent=-3))


def calibrated(sample_models: Path, shard: Shard = Shard(), samples: int = 37) -> Calibration:
    data = str(sample_models / "digits_calib.npz")
    model = sample_models / "digits_mobilenet.onnx"
    return pipeline.calibrate(model, data, samples=samples, shard=shard, threads=1, moments=True)


@pytest.mark.parametrize("seed", range(3))
def test_shards_in_any_order_give_the_files_of_one_run(sample_models: Path, tmp_path: Path, seed: int) -> None:
    calibrated(sample_models).save(tmp_path / "one.json")
    random, files = Random(seed), {}
    for number in range(1, 9):
        path = tmp_path / f"{number}.json"
        calibrated(sample_models, Shard(number, 8)).save(path)
        files[str(path)] = Calibration.load(path)
    while len(files) > 1:
        group = random.sample(sorted(files), random.randint(2, min(4, len(files))))
        merged = merge({name: files.pop(name) for name in group})
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        merged.save(path)
        files[str(path)] = Calibration.load(path)
    (last,) = map(Path, files)
    assert last.read_bytes() == (tmp_path / "one.json").read_bytes()
    assert moments_beside(last).read_bytes() == moments_beside(tmp_path / "one.json").read_bytes()


def test_the_file_gives_back_what_was_written(sample_models: Path) -> None:
    table = calibrated(sample_models, samples=3).moments
    assert table is not None and len(table) == 12
    stream = BytesIO()
    write_moments(table, stream)
    found = StoredMoments(stream, "m.npz")
    assert digest_of(found) == digest_of(table)
    for sight, moments in table.items():
        assert np.array_equal(found[sight].gram, moments.gram)
        assert np.array_equal(moments.gram, moments.gram.transpose(0, 2, 1))


def test_a_file_of_another_calibration_is_refused(sample_models: Path, tmp_path: Path) -> None:
    for count in (2, 3):
        calibrated(sample_models, samples=count).save(tmp_path / f"{count}.calib.json")
    (tmp_path / "3.moments.npz").write_bytes((tmp_path / "2.moments.npz").read_bytes())
    with pytest.raises(ArtifactError, match="belongs to another calibration"):
        Calibration.load(tmp_path / "3.calib.json")
    (tmp_path / "3.moments.npz").write_bytes(b"PK none")
    with pytest.raises(ArtifactError, match="damaged"):
        Calibration.load(tmp_path / "3.calib.json")
    (tmp_path / "3.moments.npz").unlink()
    found = Calibration.load(tmp_path / "3.calib.json")
    assert found.moments is None and found.moments_sha256 is not None


def test_memory_does_not_grow_with_the_samples(sample_models: Path) -> None:
    few, many = (calibrated(sample_models, samples=count).moments for count in (5, 50))
    assert few is not None and many is not None
    for sight in few:
        assert (few[sight].gram.nbytes, few[sight].total.nbytes) == (many[sight].gram.nbytes, many[sight].total.nbytes)
        assert many[sight].count == 10 * few[sight].count


def test_made_up_samples_have_no_moments(sample_models: Path) -> None:
    with pytest.raises(UsageError, match="only real samples"):
        pipeline.calibrate(sample_models / "digits_mlp.onnx", moments=True)
