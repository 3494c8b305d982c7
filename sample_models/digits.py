"""Handwritten digits of scikit-learn as 16x16 images, split into training, calibration and test samples."""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional

SIDE = 16
CLASSES = 10
CALIBRATION_SAMPLES = 100
TEST_SAMPLES = 397
_BRIGHTEST = 16.0  # load_digits counts inked pixels in 4x4 cells: 0 to 16


@dataclass(frozen=True)
class Samples:
    """Images float32 [N, 1, 16, 16] in [0, 1], each value a multiple of 1/255; labels int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Tensor) -> "Samples":
        """The samples at these positions, in their order."""
        return Samples(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Split:
    """Three disjoint sets, each with the classes in the proportion of the whole."""

    train: Samples
    calibration: Samples
    test: Samples


def load_split(seed: int) -> Split:
    """Splits the 1797 digits into 1300 for training, 100 for calibration and 397 for the test."""
    digits = load_digits()
    samples = Samples(_upsampled(torch.from_numpy(digits.images)), torch.from_numpy(digits.target).to(torch.int64))
    rest, test = _stratified(samples, TEST_SAMPLES, seed)
    train, calibration = _stratified(rest, CALIBRATION_SAMPLES, seed)
    return Split(train, calibration, test)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotates, scales and shifts each image [N, 1, H, W] a little and adds noise."""
    count = len(images)

    def uniform(bound: float, columns: int) -> Tensor:
        return (torch.rand(count, columns, generator=generator) * 2 - 1) * bound

    angle, zoom, shift = uniform(0.17, 1), 1 + uniform(0.1, 1), uniform(0.12, 2)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    affine = torch.stack([torch.cat([cos, -sin, shift[:, :1]], 1), torch.cat([sin, cos, shift[:, 1:]], 1)], 1)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    return (moved + 0.03 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def _upsampled(cells: Tensor) -> Tensor:
    images = (cells.to(torch.float32) / _BRIGHTEST).unsqueeze(1)
    larger = functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    # Multiples of 1/255 are what an 8-bit image file would give, and they compress well.
    return torch.round(larger * 255) / 255


def _stratified(samples: Samples, held_out: int, seed: int) -> tuple[Samples, Samples]:
    kept, held = train_test_split(range(len(samples)), test_size=held_out, stratify=samples.labels.numpy(), random_state=seed)
    return samples.at(torch.tensor(kept)), samples.at(torch.tensor(held))
