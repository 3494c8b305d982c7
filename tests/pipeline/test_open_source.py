from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qconv.data.source import InputInfo, known_length
from qconv.errors import DataError, ModelError
from qconv.pipeline.open_source import open_source
from tests.networks import conv_relu_pool

INPUT = InputInfo("x", np.dtype(np.float32), (None, 3, 8, 8))
ARRAY = np.zeros((5, 3, 8, 8), np.float32)


def save_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 9, 3), 128, np.uint8)).save(path)


def test_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", anything=ARRAY)
    source = open_source(str(tmp_path / "d.npz"), [INPUT])
    assert known_length(source) == 5 == len(list(source))
    assert source.description == "d.npz (5 samples)"
    assert source.warning is None


def test_array_folder_with_labels(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "b.npy", ARRAY[0])
    np.save(tmp_path / "sub" / "a.npy", ARRAY[:1])
    (tmp_path / "labels.csv").write_text("file,class\nb.npy,3\nsub/a.npy,4\n")
    samples = list(open_source(str(tmp_path), [INPUT]))
    assert [(sample.name, sample.label) for sample in samples] == [("b.npy", 3), ("sub/a.npy", 4)]


def test_image_folder_takes_given_labels_before_its_own(tmp_path: Path) -> None:
    save_image(tmp_path / "in" / "1.png")
    (tmp_path / "in" / "labels.csv").write_text("1.png,1\n")
    (tmp_path / "other.csv").write_text("1.png,2\n")
    (sample,) = open_source(str(tmp_path / "in"), [INPUT], labels=tmp_path / "other.csv")
    assert (sample.label, sample.feeds["x"].shape) == (2, (1, 3, 8, 8))


def test_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.png", "a/deeper/3.png"):
        save_image(tmp_path / name)
    samples = list(open_source(str(tmp_path), [INPUT], labels=Path("folders")))
    assert {sample.name: sample.label for sample in samples} == {"a/2.png": 0, "a/deeper/3.png": 0, "b/1.png": 1}
    save_image(tmp_path / "4.png")
    with pytest.raises(DataError, match=r"4.png lies in no folder of a class"):
        open_source(str(tmp_path), [INPUT], labels=Path("folders"))


@pytest.mark.parametrize("name", ["2.png", "2.npy"])
def test_a_link_to_nowhere_is_not_left_out(tmp_path: Path, name: str) -> None:
    if name == "2.png":
        save_image(tmp_path / "1.png")
    else:
        np.save(tmp_path / "1.npy", ARRAY)
    (tmp_path / name).symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=rf"{name} cannot be"):
        list(open_source(str(tmp_path), [INPUT]))


def test_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "feeding.py").write_text("import numpy as np\ndef some():\n    yield np.zeros((1, 3, 8, 8), np.float32)\n")
    monkeypatch.chdir(tmp_path)
    assert len(list(open_source("feeding:some", [INPUT]))) == 1


def test_nothing_given_means_synthetic() -> None:
    source = open_source(None, [INPUT], original=conv_relu_pool(), count=4)
    assert known_length(source) == 4
    assert "no data was given" in str(source.warning)


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save_image(tmp_path / "mixed" / "1.png")
    np.save(tmp_path / "mixed" / "b.npy", ARRAY)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "numbers.csv").write_text("1,2\n")
    for spec, reason in {
        "empty": "holds no .npz, .npy or image file",
        "mixed": "both arrays and images",
        "notes.txt": "not an .npz or .npy file",
        "numbers.csv": r"np.loadtxt\('.*numbers.csv', np.float32, delimiter=','\).reshape\(-1, 3, 8, 8\)",
        "absent": "there are no samples at",
        "absent.npz": "there is no file .*absent.npz; check the path",
    }.items():
        with pytest.raises(DataError, match=reason) as caught:
            open_source(str(tmp_path / spec), [INPUT])
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no inputs"):
        open_source("empty", [])
