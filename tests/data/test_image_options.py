from __future__ import annotations

import numpy as np
import pytest

from qconv.data.image_options import PRESETS, ImageOptions, ImageRecipe, resolve
from qconv.data.source import InputInfo
from qconv.errors import UsageError


def info(*shape: int | None, dtype: type = np.float32) -> InputInfo:
    return InputInfo("x", np.dtype(dtype), shape)


def test_defaults_follow_the_input() -> None:
    imagenet = PRESETS["imagenet"]
    expected = ImageRecipe(256, (224, 224), imagenet.scale, imagenet.mean, imagenet.std, "nchw", "rgb", fits=True)
    assert resolve(ImageOptions(), info(None, 3, 224, 224)) == expected
    assert resolve(ImageOptions(), info(1, 240, 320, 3)).crop == (320, 240)
    assert resolve(ImageOptions(), info(1, 240, 320, 3)).layout == "nhwc"
    gray = resolve(ImageOptions(), info(1, 1, 28, 28))
    assert (gray.channels, gray.mean, gray.scale, gray.resize) == ("gray", (0.0,), 1 / 255, 32)
    assert resolve(ImageOptions(), info(1, 3, 8, 8, dtype=np.uint8)).scale == 1.0


def test_own_numbers_start_from_unit() -> None:
    recipe = resolve(ImageOptions(mean=(0.5,)), info(1, 3, 8, 8))
    assert (recipe.scale, recipe.mean, recipe.std) == (1 / 255, (0.5,), (1.0,))
    recipe = resolve(ImageOptions(scale=1.0, mean=(127.0,), std=(128.0,)), info(1, 3, 8, 8))
    assert (recipe.scale, recipe.mean, recipe.std) == (1.0, (127.0,), (128.0,))


def test_a_free_size_follows_the_options() -> None:
    free = info(1, 3, None, None)
    assert resolve(ImageOptions(crop=(64, 32)), free).crop == (64, 32)
    assert resolve(ImageOptions(resize=96), free).crop == (96, 96)
    assert resolve(ImageOptions(resize=(64, 32)), free).crop == (64, 32)


@pytest.mark.parametrize(
    ("options", "shape", "reason"),
    [
        (ImageOptions(), (1, 3, None, None), "no fixed size"),
        (ImageOptions(), (1, 10), "4 dimensions"),
        (ImageOptions(), (1, 4, 8, 8), "do not fit|have 3 channels"),
        (ImageOptions(channels="gray"), (1, 3, 8, 8), "gray images"),
        (ImageOptions(layout="nhwc"), (1, 3, 8, 8), "rgb images in nhwc"),
        (ImageOptions(preset="vgg"), (1, 3, 8, 8), "no preset 'vgg'; choose one of caffe, imagenet"),
        (ImageOptions(mean=(104.0, 117.0, 123.0)), (1, 3, 8, 8), "add --scale 1"),
        (ImageOptions(mean=(0.5, 0.5)), (1, 3, 8, 8), "--mean has 2 numbers for 3 channels"),
        (ImageOptions(std=(0.0,)), (1, 3, 8, 8), "--std must be above zero"),
    ],
)
def test_options_that_do_not_fit(options: ImageOptions, shape: tuple[int | None, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        resolve(options, info(*shape))
    assert "\n" not in str(caught.value)
