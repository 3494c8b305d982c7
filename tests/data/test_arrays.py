from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qconv.data.arrays import ArrayFile
from qconv.data.labels import Labels
from qconv.data.source import InputInfo
from qconv.errors import DataError

X = InputInfo("x", np.dtype(np.float32), (None, 3, 4))
ROWS = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
Save = Callable[..., None]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_gives_row_after_row(save: Save, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    save(path, x=ROWS)
    source = ArrayFile(path, [X])
    for _ in range(2):  # again and again
        samples = list(source)
        assert [sample.name for sample in samples] == [f"d.npz[{i}]" for i in range(5)]
        np.testing.assert_array_equal(np.concatenate([sample.feeds["x"] for sample in samples]), ROWS)


def test_two_inputs_of_which_one_is_a_scalar(tmp_path: Path) -> None:
    rate = InputInfo("rate", np.dtype(np.int64), ())
    np.savez(tmp_path / "d.npz", x=ROWS, rate=np.full(5, 16000, np.int32))
    sample = next(iter(ArrayFile(tmp_path / "d.npz", [X, rate])))
    assert (sample.feeds["rate"].shape, sample.feeds["rate"].dtype, int(sample.feeds["rate"])) == ((), np.dtype(np.int64), 16000)


def test_npy_of_one_sample_bears_the_files_name(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", ROWS[0])
    (sample,) = ArrayFile(tmp_path / "one.npy", [X], Labels({"one.npy": 2}))
    assert (sample.name, sample.label) == ("one.npy", 2)
    np.testing.assert_array_equal(sample.feeds["x"], ROWS[:1])


def test_labels_in_the_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", pixels=ROWS, labels=np.arange(5) * 2)
    assert [sample.label for sample in ArrayFile(tmp_path / "d.npz", [X])] == [0, 2, 4, 6, 8]
    given = ArrayFile(tmp_path / "d.npz", [X], Labels({"1": 7}))
    assert [sample.label for sample in given] == [0, 7, 4, 6, 8]


@pytest.mark.parametrize("labels", [np.arange(4), np.zeros(5, np.float32), np.zeros((5, 2), int)])
def test_labels_that_do_not_fit(labels: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=ROWS, labels=labels)
    with pytest.raises(DataError, match=r"labels in .* give 5 integers"):
        ArrayFile(tmp_path / "d.npz", [X])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_is_that_of_a_row(save: Save, tmp_path: Path) -> None:
    row = 1 << 16
    save(tmp_path / "d.npz", x=np.zeros((400, row), np.float32))
    source = ArrayFile(tmp_path / "d.npz", [InputInfo("x", np.dtype(np.float32), (None, row))])
    tracemalloc.start()
    count = sum(1 for _ in source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400
    assert peak < 8 * row * 4  # a few copies of one of the 400 rows


def test_arrays_that_disagree(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=ROWS, y=ROWS[:3])
    with pytest.raises(DataError, match="disagree on the number of samples: x has 5, y has 3"):
        ArrayFile(tmp_path / "d.npz", [X, InputInfo("y", X.dtype, X.shape)])


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{"a": 1}, None], object))
    with pytest.raises(DataError, match="never loaded"):
        ArrayFile(tmp_path / "d.npz", [X])


def test_fortran_order_cannot_be_streamed(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.asfortranarray(ROWS))
    with pytest.raises(DataError, match="Fortran order"):
        ArrayFile(tmp_path / "d.npy", [X])


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", ROWS)
    data = (tmp_path / "d.npy").read_bytes()
    (tmp_path / "d.npy").write_bytes(
        data.replace(b"(5, 3, 4), }      ", b"(5000000000, 3, 4)", 1).replace(b"4)    ", b"4), } ", 1)
    )
    with pytest.raises(DataError, match=r"for shape \(5000000000, 3, 4\)"):
        ArrayFile(tmp_path / "d.npy", [X])


def test_a_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=ROWS)
    archive = zipfile.ZipFile(path)
    archive.infolist()[0].file_size = 1 << 40
    data = path.read_bytes()
    size = (368).to_bytes(4, "little")
    assert data.count(size) >= 2  # the compressed and the plain size in the central directory
    head, tail = data.rsplit(size, 1)
    path.write_bytes(head + (0xFFFFFFF0).to_bytes(4, "little") + tail)
    with pytest.raises(DataError, match="claims to unpack to 4294967280 bytes"):
        ArrayFile(path, [X])


def test_truncation_at_every_length_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).standard_normal((5, 3, 4)).astype(np.float32))
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        with pytest.raises(DataError) as caught:
            list(ArrayFile(path, [X]))
        assert "\n" not in str(caught.value) and "d.npz" in str(caught.value)


def test_flipped_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=ROWS)
    data = path.read_bytes()
    refused = 0
    for index in range(len(data)):
        path.write_bytes(data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :])
        try:
            list(ArrayFile(path, [X]))
        except DataError:
            refused += 1
    assert refused > len(data) / 2


def test_nan_names_its_sample(tmp_path: Path) -> None:
    bad = ROWS.copy()
    bad[3, 1, 1] = np.nan
    np.savez(tmp_path / "d.npz", x=bad)
    with pytest.raises(DataError, match=r"sample d.npz\[3\] holds NaN in input x"):
        list(ArrayFile(tmp_path / "d.npz", [X]))


@pytest.mark.parametrize(("rows", "left"), [(5, 1), (4, 0)])
def test_rows_that_fill_no_batch_are_told_of(rows: int, left: int, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=ROWS[:rows])
    source = ArrayFile(tmp_path / "d.npz", [InputInfo("x", np.dtype(np.float32), (2, 3, 4))])
    assert len(source) == 2
    assert (source.warning or "").startswith(f"{left} of the {rows} rows") is bool(left)
