"""Samples from a folder of pictures, in the order of their paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from qconv.data.fit import to_feed
from qconv.data.image_options import ImageOptions, ImageRecipe, resolve
from qconv.data.labels import Labels
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError, UsageError
from qconv.model.session import reason
from qconv.quant.types import FloatArray
from qconv.sentences import counted

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})


class ImageFolder:
    """Pictures as a source for a model of one input; a model with a fixed batch gets that many at a time.

    Raises UsageError where the options do not fit the model, DataError on a picture that cannot be decoded.
    """

    warning: str | None = None

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path],
        inputs: Sequence[InputInfo],
        options: ImageOptions,
        labels: Labels | None = None,
    ) -> None:
        if len(inputs) != 1:
            names = ", ".join(info.name for info in inputs)
            raise UsageError(f"images serve a model of one input, but this one has {names}; give arrays (.npz)")
        self._folder, self._files, self._info = folder, tuple(files), inputs[0]
        self._recipe, self._labels = resolve(options, inputs[0]), labels or Labels({})
        if len(self) == 0:
            raise DataError(f"{folder} has {len(files)} images, but the model takes {self._info.batch} at a time; add more")

    @property
    def description(self) -> str:
        """The folder, the number of pictures and what is done to them."""
        return f"{self._folder.name} ({counted(len(self._files), 'image')}: {self._recipe})"

    def __len__(self) -> int:
        return len(self._files) // self._info.batch

    def __iter__(self) -> Iterator[Sample]:
        return self.every(0, 1)

    def every(self, first: int, step: int) -> Iterator[Sample]:
        """The samples number first, first + step, ...; the pictures of others are not opened."""
        batch = self._info.batch
        for start in range(first * batch, len(self) * batch, step * batch):
            files = self._files[start : start + batch]
            names = [path.relative_to(self._folder).as_posix() for path in files]
            block = np.stack([self._tensor(path) for path in files])
            label = self._labels.get(names[0]) if batch == 1 else None
            yield Sample({self._info.name: to_feed(self._info, block, block.shape, names[0])}, label, names[0])

    def _tensor(self, path: Path) -> NDArray[Any]:
        recipe = self._recipe
        pixels = read_pixels(path, recipe)
        if self._info.dtype == np.uint8:
            values: NDArray[Any] = pixels
        else:
            values = normalise(pixels, recipe)
        return values.transpose(2, 0, 1) if recipe.layout == "nchw" else values


def read_pixels(path: Path, recipe: ImageRecipe) -> NDArray[np.uint8]:
    """Decoded, turned upright, resized (bilinear), cropped: [height, width, channels], 0 to 255, channels as in the recipe."""
    try:
        with Image.open(path) as opened:
            picture = _eight_bits(_upright(opened), path).convert("L" if recipe.channels == "gray" else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"the image {path} cannot be decoded ({reason(error)}); remove or mend it") from None
    width, height = recipe.crop
    if not recipe.fits or picture.size != recipe.crop:
        picture = picture.resize(_resized(picture.size, recipe), Image.Resampling.BILINEAR)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)))
    if recipe.channels == "bgr":
        return pixels[..., ::-1]
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _upright(picture: Image.Image) -> Image.Image:
    """The picture as a viewer shows it: cameras write the rotation beside the pixels."""
    return ImageOps.exif_transpose(picture)


def _eight_bits(picture: Image.Image, path: Path) -> Image.Image:
    """Pillow would cut 16 bits off at 255 instead of scaling them. Raises DataError for pixels without a known white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise DataError(f"the image {path} has pixels of 32 bits, whose white is not known; save it with 8 bits")
    return picture


def normalise(pixels: NDArray[np.uint8], recipe: ImageRecipe) -> FloatArray:
    """(pixel * scale - mean) / std in float32."""
    factor = np.asarray(recipe.scale / np.asarray(recipe.std), np.float32)
    shift = np.asarray(np.asarray(recipe.mean) / np.asarray(recipe.std), np.float32)
    return pixels * factor - shift


def _resized(size: tuple[int, int], recipe: ImageRecipe) -> tuple[int, int]:
    """The size before cropping, never below the crop."""
    if not isinstance(recipe.resize, int):
        return recipe.resize
    factor = max(recipe.resize / min(size), recipe.crop[0] / size[0], recipe.crop[1] / size[1])
    width, height = (max(crop, round(side * factor)) for side, crop in zip(size, recipe.crop, strict=True))
    return width, height
