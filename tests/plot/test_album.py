"""A folder of pictures: one for each tensor and the sheets, whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from qconv.errors import OutputError
from qconv.plot import plot
from qconv.plot.histogram_picture import SIZE
from tests.plot.calibrations import BELL, SCHEME, calibration, of

ODD = calibration({"a/b:0": BELL, "A/B:0": of(1e4), "": np.zeros(3, np.float32), "x" * 400: np.zeros(0, np.float32)}, "auto")


def test_a_picture_for_each_tensor_and_a_sheet(tmp_path: Path) -> None:
    done: list[tuple[int, int | None]] = []
    written = plot(ODD, tmp_path / "new" / "folder", SCHEME, lambda *count: done.append(count))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(written) == sorted((tmp_path / "new" / "folder").iterdir())
    assert [path.name for path in written] == [
        "001_tensor.png", "002_A_B_0.png", "003_a_b_0.png", f"004_{'x' * 80}.png", "contact_sheet.png",
    ]  # fmt: skip
    for path in written:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.size == SIZE or path == written[-1]


def test_an_order_that_is_known_numbers_the_files(tmp_path: Path) -> None:
    written = plot(ODD, tmp_path, SCHEME, order=["x" * 400, "a/b:0"])
    assert [path.name[:7] for path in written] == ["001_xxx", "002_a_b", "003_ten", "004_A_B", "contact"]


def test_the_same_calibration_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (plot(ODD, tmp_path / name, SCHEME) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_style_of_the_user_changes_nothing_and_is_left_alone(tmp_path: Path) -> None:
    plain = plot(ODD, tmp_path / "a", SCHEME)
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30.0}):
        styled = plot(ODD, tmp_path / "b", SCHEME)
        assert matplotlib.rcParams["font.size"] == 30.0
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in styled]


def test_many_tensors_take_several_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qconv.plot.album.TILES", 7)
    constant = np.full(2, 1, np.float32)
    written = plot(calibration({f"t{k}": constant for k in range(14)}), tmp_path / "full", SCHEME)
    assert [path.name for path in written[-2:]] == ["contact_sheet.png", "contact_sheet_2.png"]
    written = plot(calibration({f"t{k}": constant for k in range(8)}), tmp_path / "one", SCHEME)
    assert [path.name for path in written[-2:]] == ["contact_sheet.png", "contact_sheet_2.png"]
    with Image.open(written[-2]) as full, Image.open(written[-1]) as rest:
        assert full.height > 1.5 * rest.height and full.width > 2 * rest.width


def test_no_tensors_give_a_sheet_of_none(tmp_path: Path) -> None:
    assert [path.name for path in plot(calibration({}), tmp_path, SCHEME)] == ["contact_sheet.png"]


def test_what_stops_in_the_middle_leaves_whole_files_only(tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plot(ODD, tmp_path, SCHEME, stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["001_tensor.png", "002_A_B_0.png"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"001_tensor\.png cannot be written: No space left"):
        plot(ODD, tmp_path, SCHEME)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken is a file: give the name of a folder"):
        plot(ODD, tmp_path / "taken", SCHEME)
    with pytest.raises(OutputError, match="cannot be made"):
        plot(ODD, tmp_path / "taken" / "deeper", SCHEME)
    assert (tmp_path / "taken").read_text() == "mine"
