from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qconv.data.image_options import ImageOptions, resolve
from qconv.data.images import ImageFolder, read_pixels
from qconv.data.labels import Labels
from qconv.data.source import InputInfo
from qconv.errors import DataError, UsageError

NCHW = InputInfo("x", np.dtype(np.float32), (None, 3, 8, 8))
NHWC = InputInfo("x", np.dtype(np.float32), (1, 8, 8, 3))
BYTES = InputInfo("x", np.dtype(np.uint8), (1, 8, 8, 3))
GRAY = InputInfo("x", np.dtype(np.float32), (1, 1, 8, 8))
PLAIN = ImageOptions(preset="raw", resize=(8, 8))


def folder(tmp_path: Path, *pictures: np.ndarray) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def noise(height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def feed(tmp_path: Path, info: InputInfo, options: ImageOptions, picture: np.ndarray) -> np.ndarray:
    (sample,) = ImageFolder(tmp_path, folder(tmp_path, picture), [info], options)
    return sample.feeds["x"]


def test_layouts_and_channels(tmp_path: Path) -> None:
    picture = noise()
    np.testing.assert_array_equal(feed(tmp_path, NHWC, PLAIN, picture)[0], picture)
    np.testing.assert_array_equal(feed(tmp_path, NCHW, PLAIN, picture)[0], picture.transpose(2, 0, 1))
    bgr = ImageOptions(preset="raw", resize=(8, 8), channels="bgr")
    np.testing.assert_array_equal(feed(tmp_path, NCHW, bgr, picture)[0], picture.transpose(2, 0, 1)[::-1])
    gray = feed(tmp_path, GRAY, PLAIN, picture)
    np.testing.assert_array_equal(gray[0, 0], np.asarray(Image.fromarray(picture).convert("L")))


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    picture = noise()
    pixels = feed(tmp_path, BYTES, ImageOptions(resize=(8, 8)), picture)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0], picture)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("imagenet", (np.array([10, 20, 30]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("caffe", np.array([30, 20, 10]) - [103.939, 116.779, 123.68]),
        ("tf", np.array([10, 20, 30]) / 127.5 - 1),
        ("unit", np.array([10, 20, 30]) / 255),
        ("raw", np.array([10, 20, 30])),
    ],
)
def test_presets(preset: str, expected: np.ndarray, tmp_path: Path) -> None:
    found = feed(tmp_path, NCHW, ImageOptions(preset=preset), np.full((9, 9, 3), [10, 20, 30], np.uint8))
    np.testing.assert_allclose(found[0, :, 0, 0], expected, rtol=1e-5, atol=1e-6)  # float32 of two operations


def test_short_side_then_centre_crop(tmp_path: Path) -> None:
    (path,) = folder(tmp_path, noise(40, 60))
    recipe = resolve(ImageOptions(preset="raw", resize=20, crop=(8, 8)), NHWC)
    whole = np.asarray(Image.open(path).resize((30, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_pixels(path, recipe), whole[6:14, 11:19])


def test_small_pictures_grow_to_the_crop(tmp_path: Path) -> None:
    assert feed(tmp_path, NCHW, ImageOptions(), noise(3, 50)).shape == (1, 3, 8, 8)


def test_a_fixed_batch_takes_several_and_leaves_out_the_rest(tmp_path: Path) -> None:
    pairs = InputInfo("x", np.dtype(np.float32), (2, 3, 8, 8))
    source = ImageFolder(tmp_path, folder(tmp_path, *[noise()] * 5), [pairs], PLAIN, Labels({"0.png": 1}))
    assert len(source) == 2
    assert [(sample.feeds["x"].shape, sample.label) for sample in source] == [((2, 3, 8, 8), None)] * 2
    with pytest.raises(DataError, match="has 1 images, but the model takes 2"):
        ImageFolder(tmp_path, folder(tmp_path, noise()), [pairs], PLAIN)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_corrupt_picture_is_named(content: bytes | None, tmp_path: Path) -> None:
    paths = folder(tmp_path, noise(), noise())
    paths[1].write_bytes(paths[1].read_bytes()[:90] if content is None else content)
    with pytest.raises(DataError, match=r"the image .*1.png cannot be decoded") as caught:
        list(ImageFolder(tmp_path, paths, [NCHW], PLAIN))
    assert "\n" not in str(caught.value)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    gray = noise()[..., 0]
    pixels = feed(tmp_path, GRAY, PLAIN, gray.astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels[0, 0], gray)


def test_pixels_without_a_known_white_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match=r"f.tif has pixels of 32 bits"):
        list(ImageFolder(tmp_path, [tmp_path / "f.tif"], [GRAY], PLAIN))


def test_every_skips_pictures_without_opening_them(tmp_path: Path) -> None:
    paths = folder(tmp_path, *[np.full((8, 8, 3), shade, np.uint8) for shade in range(10)])
    paths[4].write_bytes(b"")
    source = ImageFolder(tmp_path, paths, [NCHW], PLAIN)
    assert [int(sample.feeds["x"].max()) for sample in source.every(1, 2)] == [1, 3, 5, 7, 9]


def test_one_input_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one input, but this one has x, x"):
        ImageFolder(tmp_path, folder(tmp_path, noise()), [NCHW, NCHW], PLAIN)


def test_the_description_says_what_was_done(tmp_path: Path) -> None:
    source = ImageFolder(tmp_path, folder(tmp_path, noise()), [NCHW], ImageOptions(preset="tf"))
    expected = "(1 image: resize short side 10 unless 8x8, crop 8x8, rgb nchw, scale 0.00784314, mean 1, std 1)"
    assert source.description == f"{tmp_path.name} {expected}"


def test_a_picture_of_the_right_size_is_taken_as_it_is_unless_told_otherwise(tmp_path: Path) -> None:
    picture = noise()
    np.testing.assert_array_equal(feed(tmp_path, NCHW, ImageOptions(preset="raw"), picture)[0], picture.transpose(2, 0, 1))
    resized = feed(tmp_path, NCHW, ImageOptions(preset="raw", resize=10), picture)[0]
    assert resized.shape == (3, 8, 8) and not np.array_equal(resized, picture.transpose(2, 0, 1))


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    picture = noise(6, 8)
    turned, plain = tmp_path / "turned.png", tmp_path / "plain.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the first column is the top
    Image.fromarray(picture).save(turned, exif=exif)
    Image.fromarray(np.rot90(picture, -1)).save(plain)
    recipe = resolve(ImageOptions(preset="raw", resize=(6, 8)), InputInfo("x", np.dtype(np.uint8), (1, 8, 6, 3)))
    np.testing.assert_array_equal(read_pixels(turned, recipe), read_pixels(plain, recipe))
