from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qconv.data.image_options import ImageOptions
from qconv.data.images import ImageFolder
from qconv.data.limited import Limited
from qconv.data.source import InputInfo, known_length
from qconv.data.strided import Strided
from tests.networks import Listed, pictures


@pytest.mark.parametrize(("first", "step"), [(0, 1), (1, 3), (6, 2), (9, 1)])
@pytest.mark.parametrize("limit", [2, 7, 100])
def test_every_so_many(first: int, step: int, limit: int) -> None:
    source = Strided(Limited(Listed(pictures(7)), limit), first, step)
    expected = [f"listed[{index}]" for index in range(7)][:limit][first::step]
    assert [sample.name for sample in source] == expected
    assert known_length(source) == len(expected)


@pytest.mark.parametrize("batch", [1, 2])
def test_pictures_that_are_skipped_are_not_opened(tmp_path: Path, batch: int) -> None:
    files = [tmp_path / f"{index}.png" for index in range(8)]
    info = InputInfo("x", np.dtype(np.float32), (batch, 3, 4, 4))
    for index, file in enumerate(files):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(file)
    source = ImageFolder(tmp_path, files, [info], ImageOptions(preset="raw"))
    wanted = list(source)[1::2]
    for file in files[:batch]:
        file.unlink()
    found = list(Strided(source, 1, 2))
    assert [sample.name for sample in found] == [sample.name for sample in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a.feeds["x"], b.feeds["x"])
