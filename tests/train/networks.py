"""Small networks that show one thing each, and how they are trained for a few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qconv.config import QuantConfig
from qconv.train import SimulatedNetwork, Training, prepare
from qconv.train.binarized import FewValuedConv2d, FewValuedLinear, Sign, Values, clip_weights

SHAPE = (2, 8, 8)


def conv_bn(inputs: int, outputs: int, *after: nn.Module, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, its batch norm, and what follows."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.weight, -1.5, 1.5)
    return nn.Sequential(conv, norm, *after)


def head(features: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 4))


class Residual(nn.Module):
    """A sum with a ReLU behind it, read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = conv_bn(8, 8, nn.ReLU()), conv_bn(8, 8), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.second(self.first(x)) + x)
        return y


class Joined(nn.Module):
    """Two branches under one scale, by functions instead of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv_bn(8, 8), conv_bn(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.cat([torch.relu(self.left(x)), self.right(x)], 1)
        return nn.functional.max_pool2d(parts, 2)


class Excite(nn.Module):
    """A gate from averages, times what it gates."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mobile": lambda: nn.Sequential(
        conv_bn(2, 8, nn.ReLU6()), conv_bn(8, 8, nn.ReLU6(), groups=8), conv_bn(8, 16, nn.ReLU6(), stride=2), head(16)
    ),
    "residual": lambda: nn.Sequential(conv_bn(2, 8, nn.ReLU()), Residual(), Residual(), head(8)),
    "joined": lambda: nn.Sequential(conv_bn(2, 8, nn.ReLU()), Joined(), head(12)),
    "gates": lambda: nn.Sequential(conv_bn(2, 8, nn.Hardswish()), conv_bn(8, 8, nn.SiLU()), Excite(), head(8)),
    "transposed": lambda: nn.Sequential(
        conv_bn(2, 8, nn.ReLU(), stride=2),
        nn.ConvTranspose2d(8, 8, 3, 2, 1, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, (2, 4), (1, 2), (0, 1), bias=False),
        nn.ConvTranspose2d(6, 8, 2, 2, groups=2),
        head(8),
    ),
    "biased": lambda: nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.LeakyReLU(0.125), nn.Flatten(), nn.Linear(288, 16), nn.GELU(), nn.Linear(16, 4)
    ),
}


def few_valued(values: Values, *, scaled: bool) -> nn.Module:
    """Convolutions and dense layers of two or three values, with signs between them."""
    few: dict[str, Any] = {"values": values, "scaled": scaled, "bias": False}
    return nn.Sequential(
        FewValuedConv2d(2, 16, 3, padding=1, **few), nn.BatchNorm2d(16), Sign(),
        FewValuedConv2d(16, 16, 3, stride=2, padding=1, **few), nn.BatchNorm2d(16), Sign(), nn.Flatten(),
        FewValuedLinear(256, 4, **few), nn.BatchNorm1d(4),
    )  # fmt: skip


def samples(count: int) -> tuple[Tensor, Tensor]:
    """Pictures whose class is the quarter that is brightest."""
    images = torch.rand(count, *SHAPE) * 0.5
    labels = torch.randint(0, 4, (count,))
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (int(label) // 2), 4 * (int(label) % 2)
        image[:, row : row + 4, column : column + 4] += 0.5
    return images, labels


def trained(
    module: nn.Module, config: QuantConfig = QuantConfig(), training: Training = Training(delay=5, freeze=20), steps: int = 30
) -> SimulatedNetwork:
    """After so many steps of 32 samples."""
    network = prepare(module.train(), samples(4)[0], config, training)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(steps):
        images, labels = samples(32)
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clip_weights(network)
    return network
