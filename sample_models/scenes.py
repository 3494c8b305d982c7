"""Scenes of one to three digits of several sizes on a dark square, with their boxes."""

from dataclasses import dataclass

import torch
from detections import NO_CLASS
from digits import Samples
from torch import Tensor
from torch.nn import functional

SCENE = 48
MOST = 3  # digits in a scene
_SMALLEST, _LARGEST = 12, 22  # pixels of a digit's side
_ATTEMPTS = 20
_INK = 0.2


@dataclass(frozen=True)
class Scenes:
    """Images float32 [N, 1, 48, 48]; boxes float32 [N, 3, 4]: left, top, right, bottom; labels int64 [N, 3], -1 for none."""

    images: Tensor
    boxes: Tensor
    labels: Tensor

    def at(self, indices: Tensor) -> "Scenes":
        """The scenes at these positions, in their order."""
        return Scenes(self.images[indices], self.boxes[indices], self.labels[indices])


def compose(samples: Samples, count: int, generator: torch.Generator) -> Scenes:
    """Scenes of digits drawn from the samples, no two of which overlap."""
    images = torch.zeros(count, 1, SCENE, SCENE)
    boxes, labels = torch.zeros(count, MOST, 4), torch.full((count, MOST), NO_CLASS)
    for scene in range(count):
        for place in range(_drawn(1, MOST + 1, generator)):
            digit = _drawn(0, len(samples), generator)
            box = _put(samples.images[digit, 0], images[scene, 0], generator)
            if box is not None:
                boxes[scene, place], labels[scene, place] = box, samples.labels[digit]
    return Scenes(images, boxes, labels)


def _drawn(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


def _put(digit: Tensor, scene: Tensor, generator: torch.Generator) -> Tensor | None:
    """Draws one digit where the scene is still empty; the box of its ink, or None if no place was found."""
    side = _drawn(_SMALLEST, _LARGEST + 1, generator)
    sized = functional.interpolate(digit[None, None], size=(side, side), mode="bilinear", align_corners=False)[0, 0]
    sized = torch.round(sized * 255) / 255
    rows, columns = (torch.nonzero((sized > _INK).any(axis)).flatten() for axis in (1, 0))
    for _ in range(_ATTEMPTS):
        top, left = (_drawn(0, SCENE - side + 1, generator) for _ in range(2))
        place = scene[top : top + side, left : left + side]
        if not place.any():
            place.copy_(sized)
            ends = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
            return torch.tensor([float(end) for end in ends])
    return None
