"""A small detector after YOLOv5: SiLU, a path down and up again, two strides, and boxes decoded in the network."""

import torch
from detections import NO_CLASS
from digits import CLASSES
from networks import conv_bn, named
from scenes import MOST, SCENE, Scenes
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (4, 8)
ANCHORS = (10.0, 16.0)  # pixels: the side of a box whose size is predicted as 0
OUTPUTS = 5 + CLASSES
_REACH = 1.5  # cells beside the one with the centre that may name a box


class CrossStage(nn.Module):
    """Half of the channels pass a residual block, and all are joined again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.left, self.right = conv_bn(channels, half, nn.SiLU(), kernel=1), conv_bn(channels, half, nn.SiLU(), kernel=1)
        self.inner = named(first=conv_bn(half, half, nn.SiLU()), second=conv_bn(half, half, nn.SiLU()))
        self.join = conv_bn(channels, channels, nn.SiLU(), kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        left = self.left(x)
        y: Tensor = self.join(torch.cat([left + self.inner(left), self.right(x)], 1))
        return y


class Detector(nn.Module):
    """Takes [N, 1, 48, 48] and gives [N, 180, 15]: x, y, width, height in pixels, and probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = named(first=conv_bn(1, 12, nn.SiLU(), stride=2), second=conv_bn(12, 24, nn.SiLU(), stride=2))
        self.fine = CrossStage(24)
        self.down = conv_bn(24, 40, nn.SiLU(), stride=2)
        self.coarse = CrossStage(40)
        self.lateral = conv_bn(40, 24, nn.SiLU(), kernel=1)
        self.up = nn.Upsample(scale_factor=2)
        self.joined = conv_bn(48, 32, nn.SiLU())
        self.heads = nn.ModuleList([nn.Conv2d(32, OUTPUTS, 1), nn.Conv2d(40, OUTPUTS, 1)])
        for head in self.heads:
            nn.init.constant_(head.bias[4], -4.0)  # few places have a digit

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(self.stem(image))
        coarse = self.coarse(self.down(fine))
        joined = self.joined(torch.cat([self.up(self.lateral(coarse)), fine], 1))
        maps = [head(x) for head, x in zip(self.heads, (joined, coarse), strict=True)]
        return torch.cat([self._decoded(x, level) for level, x in enumerate(maps)], 1)

    def _decoded(self, x: Tensor, level: int) -> Tensor:
        rows = torch.sigmoid(x.flatten(2).transpose(1, 2))
        middle = (rows[..., :2] * 2 - 0.5 + cells(level)) * STRIDES[level]
        size = (rows[..., 2:4] * 2) ** 2 * ANCHORS[level]
        return torch.cat([middle, size, rows[..., 4:]], -1)


def cells(level: int) -> Tensor:
    """Column and row of each place [places, 2] of a level."""
    line = torch.arange(SCENE // STRIDES[level], dtype=torch.float32)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(-1, 2)


def loss(detections: Tensor, scenes: Scenes) -> Tensor:
    """Of the overlap of boxes, of the presence of a digit, and of its class, all over the places near each digit's centre."""
    near, owner = _near(scenes)
    chosen = detections[near]
    boxes = scenes.boxes.gather(1, owner[..., None].expand(-1, -1, 4))[near]
    labels = scenes.labels.gather(1, owner)[near]
    overlaps = _overlap(chosen[:, :4], boxes)
    presence = torch.zeros_like(detections[..., 4])
    presence[near] = overlaps.detach().clamp(0.0, 1.0)
    classes = functional.one_hot(labels, CLASSES).to(torch.float32)
    return (
        (1 - overlaps).mean()
        + 20 * functional.binary_cross_entropy(detections[..., 4].clamp(1e-6, 1 - 1e-6), presence)
        + functional.binary_cross_entropy(chosen[:, 5:].clamp(1e-6, 1 - 1e-6), classes) * 3
    )


def _near(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Which places [N, 180] name a box, and the number of that box."""
    middle = (scenes.boxes[..., :2] + scenes.boxes[..., 2:]) / 2
    longest = (scenes.boxes[..., 2:] - scenes.boxes[..., :2]).amax(-1)
    found = []
    for level, stride in enumerate(STRIDES):
        distance = (middle[:, None] / stride - 0.5 - cells(level)[None, :, None]).abs().amax(-1)
        suits = (longest < 14) if level == 0 else (longest >= 14)
        distance = distance.masked_fill(~(suits & (scenes.labels != NO_CLASS))[:, None], torch.inf)
        found.append(distance)
    nearest = torch.cat(found, 1).min(-1)
    assert nearest.indices.max() < MOST
    return nearest.values < _REACH / 2, nearest.indices


def _overlap(predicted: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union less the empty share of the hull (GIoU), of boxes by centre and size with boxes by corners."""
    low, high = predicted[:, :2] - predicted[:, 2:] / 2, predicted[:, :2] + predicted[:, 2:] / 2
    inner = (torch.minimum(high, boxes[:, 2:]) - torch.maximum(low, boxes[:, :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(high, boxes[:, 2:]) - torch.minimum(low, boxes[:, :2])).prod(-1)
    union = predicted[:, 2:].prod(-1) + (boxes[:, 2:] - boxes[:, :2]).prod(-1) - inner
    return inner / union - (hull - union) / hull
