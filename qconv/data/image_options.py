"""How pictures become tensors: x = (pixel * scale - mean) / std, with presets for the usual conventions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from qconv.data.source import InputInfo
from qconv.errors import UsageError
from qconv.quant.pixels import Pixels

Channels = Literal["rgb", "bgr", "gray"]
Layout = Literal["nchw", "nhwc"]
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Preset:
    """A convention of normalisation; `mean` and `std` have one number, or one per channel."""

    channels: Channels
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


PRESETS: dict[str, Preset] = {
    "imagenet": Preset("rgb", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Preset("bgr", 1.0, (103.939, 116.779, 123.68), (1.0,)),
    "tf": Preset("rgb", 1 / 127.5, (1.0,), (1.0,)),
    "unit": Preset("rgb", 1 / 255, (0.0,), (1.0,)),
    "raw": Preset("rgb", 1.0, (0.0,), (1.0,)),
}


@dataclass(frozen=True)
class ImageOptions:
    """What a user may say about pictures; None takes the default, which `resolve` names.

    `resize` is the length of the short side, or an exact (width, height); `crop` is (width, height), cut from the middle.
    """

    preset: str | None = None
    resize: int | Size | None = None
    crop: Size | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    layout: Layout | None = None
    channels: Channels | None = None


@dataclass(frozen=True)
class ImageRecipe:
    """Every choice of how pictures become arrays, made; `fits` says that pictures of the crop's size are not resized."""

    resize: int | Size
    crop: Size
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Layout
    channels: Channels
    fits: bool = False

    def __str__(self) -> str:
        resize = f"short side {self.resize}" if isinstance(self.resize, int) else "x".join(map(str, self.resize))
        mean, std = (",".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        form = f"{self.channels} {self.layout}, scale {self.scale:.6g}, mean {mean}, std {std}"
        crop = f"{self.crop[0]}x{self.crop[1]}"
        return f"resize {resize}{f' unless {crop}' if self.fits else ''}, crop {crop}, {form}"


def resolve(options: ImageOptions, info: InputInfo) -> ImageRecipe:
    """Options, then the preset, then what the model's input tells.

    Without a preset: `imagenet` for three float channels, `unit` for one, `raw` for uint8; any of scale, mean and std given
    starts from `unit`. The crop is the input's size and the short side 256/224 of it, but for pictures that have the
    input's size already. Raises UsageError.
    """
    if len(info.shape) != 4 or info.dtype not in (np.float32, np.uint8):
        raise UsageError(f"images need a float32 or uint8 input of 4 dimensions, but the model takes {info}; give arrays (.npz)")
    layout = options.layout or _layout(info)
    axis, rows, columns = (1, 2, 3) if layout == "nchw" else (3, 1, 2)
    preset = _preset(options, info, info.shape[axis])
    channels = options.channels or ("gray" if info.shape[axis] == 1 else preset.channels)
    count = 1 if channels == "gray" else 3
    if info.shape[axis] not in (None, count):
        raise UsageError(
            f"{channels} images in {layout} have {count} channels, but the model takes {info}; set --layout or --channels"
        )
    crop = options.crop or _crop(options, info.shape[columns], info.shape[rows], info)
    resize = options.resize or -(-min(crop) * 256 // 224)
    normalisation = _normalisation(options, preset, count)
    return ImageRecipe(resize, crop, *normalisation, layout, channels, fits=options.resize is None)


def pixels_of(options: ImageOptions, info: InputInfo) -> Pixels:
    """How a model's input would be made of raw pixels with these options. Raises UsageError."""
    recipe = resolve(options if options.crop or None not in info.shape[1:] else replace(options, crop=(1, 1)), info)
    return Pixels(recipe.scale, recipe.mean, recipe.std, 1 if recipe.layout == "nchw" else 3)


def _layout(info: InputInfo) -> Layout:
    return "nhwc" if info.shape[3] in (1, 3) and info.shape[1] not in (1, 3) else "nchw"


def _preset(options: ImageOptions, info: InputInfo, channels: int | None) -> Preset:
    if options.preset is not None:
        if options.preset not in PRESETS:
            raise UsageError(f"there is no preset {options.preset!r}; choose one of {', '.join(sorted(PRESETS))}")
        return PRESETS[options.preset]
    if info.dtype == np.uint8:
        return PRESETS["raw"]
    own = any(value is not None for value in (options.scale, options.mean, options.std))
    return PRESETS["unit" if own or channels == 1 or options.channels == "gray" else "imagenet"]


def _crop(options: ImageOptions, width: int | None, height: int | None, info: InputInfo) -> Size:
    if width is not None and height is not None:
        return width, height
    if options.resize is None:
        raise UsageError(f"the model's input {info} has no fixed size; give one with --crop, such as --crop 224x224")
    return (options.resize, options.resize) if isinstance(options.resize, int) else options.resize


Normalisation = tuple[float, tuple[float, ...], tuple[float, ...]]


def _normalisation(options: ImageOptions, preset: Preset, channels: int) -> Normalisation:
    mean, std = options.mean or preset.mean, options.std or preset.std
    given = options.scale if options.scale is not None else preset.scale
    if not (given and np.isfinite([given, *mean, *std]).all()):
        raise UsageError("--scale, --mean and --std take finite numbers, and --scale another one than 0")
    if options.scale is None and options.preset is None and max(map(abs, (options.mean or (0.0,)) + (options.std or (0.0,)))) > 1:
        raise UsageError("a mean or std above 1 counts in pixel values; add --scale 1, or divide it by 255")
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise UsageError(f"--{name} has {len(values)} numbers for {channels} channels; give one, or one per channel")
    if any(value <= 0 for value in std):
        raise UsageError("--std must be above zero")
    return preset.scale if options.scale is None else options.scale, mean, std
