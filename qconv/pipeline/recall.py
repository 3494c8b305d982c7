"""What calibration knew, later stages know, unless they are told otherwise."""

from __future__ import annotations

from dataclasses import replace

from qconv.config import QuantConfig
from qconv.data.image_options import ImageOptions
from qconv.model.load import LoadedModel
from qconv.statistics.calibration import CALIBRATION_SUFFIX, Calibration
from qconv.statistics.setup import Setup


def calibration_beside(model: LoadedModel) -> Calibration | None:
    """The calibration of a model in MODEL.calib.json; None where there is none, or one of another model.

    Raises ArtifactError for a file that is damaged.
    """
    path = model.path.with_suffix(CALIBRATION_SUFFIX)
    found = Calibration.load(path) if path.exists() else None
    return found if found is not None and found.model_sha256 == model.digest else None


def setup_of(config: QuantConfig, images: ImageOptions) -> Setup:
    """What a calibration keeps of the settings that it is made with."""
    return Setup(images, config.excluded, tuple(config.pin))


def recalled(config: QuantConfig, setup: Setup) -> QuantConfig:
    """The settings with the exclusions and the pins of a calibration, each where the settings have none."""
    return replace(
        config,
        exclude=config.exclude if config.excluded else setup.exclude,
        pin=config.pin or setup.pin,
    )


def recalled_images(images: ImageOptions, setup: Setup) -> ImageOptions:
    """How the calibration read pictures, where nothing is said about that."""
    return setup.images if images == ImageOptions() else images
