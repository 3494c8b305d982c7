from __future__ import annotations

from pathlib import Path

import pytest

from qconv.data.labels import Labels
from qconv.errors import DataError


@pytest.mark.parametrize(
    "text",
    [
        "file,class\na.jpg,1\nb/c.jpg,20\n",
        "class,who,file\n1,x,a.jpg\n20,y,b/c.jpg\n",
        "a.jpg,1\nb/c.jpg, 20\n",
        "\ufeffFile,Class\na.jpg,1\n\nb/c.jpg,20\n",
    ],
)
def test_both_forms(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    labels = Labels.read(tmp_path / "labels.csv")
    assert (labels.get("a.jpg"), labels.get("b/c.jpg"), labels.get("d.jpg"), labels.get("d.jpg", 5)) == (1, 20, None, 5)


@pytest.mark.parametrize("text", ["a.jpg,cat\n", "a.jpg\n", "file,class\na.jpg,1\nb.jpg,-1\n"])
def test_rows_without_a_class(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=r"row [13] of .*labels.csv is"):
        Labels.read(tmp_path / "labels.csv")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\xff")
    for name in ("absent.csv", "binary.csv"):
        with pytest.raises(DataError, match=r"cannot be read|there is no file of labels"):
            Labels.read(tmp_path / name)
