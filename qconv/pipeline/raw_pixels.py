"""A network that takes raw pixels, from the calibration of the one that takes normalised pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.data.image_options import ImageOptions, pixels_of
from qconv.pipeline.prepared import PreparedModel
from qconv.prepare.take_pixels import picture_input, take_pixels
from qconv.quant.pixels import Pixels
from qconv.statistics.summary import Range

_WHITE = 255.0
_Feeds = Mapping[str, NDArray[Any]]


def pixels_for(model: PreparedModel, images: ImageOptions) -> Pixels:
    """How the input of a model is made of raw pixels. Raises UsageError where it is no picture."""
    picture_input(model.ir.graph)
    return pixels_of(images, model.inputs[0])


def as_pixels(model: ir.Model, pixels: Pixels, ranges: dict[str, Range], feeds: Sequence[_Feeds]) -> list[_Feeds]:
    """Lets a prepared network take pixels, in place; returns the feeds for it. `ranges` are those of pixels afterwards."""
    name = str(picture_input(model.graph).name)
    normalised = take_pixels(model, pixels)
    if name in ranges:
        ranges[normalised] = ranges[name]
    ranges[name] = 0.0, _WHITE
    return [{**feed, name: pixels.of_reals(feed[name])} for feed in feeds]
