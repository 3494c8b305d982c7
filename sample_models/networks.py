"""The networks, the first four of layers that `onnx_export` knows. All take [N, 1, 16, 16] and give logits [N, 10]."""

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import onnx
import torch
from digits import CLASSES, SIDE
from onnx import numpy_helper
from torch import Tensor, nn

from qconv.train.binarized import FewValuedConv2d, FewValuedLinear, Sign, Values


def named(**layers: nn.Module) -> nn.Sequential:
    """A chain whose layers have names instead of numbers, for readable node names."""
    return nn.Sequential(OrderedDict(layers))


def conv_bn(
    inputs: int, outputs: int, activation: nn.Module | None = None, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, padded to keep the size at stride 1; its batch norm; the activation if there is one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    bn = nn.BatchNorm2d(outputs)
    return named(conv=conv, bn=bn) if activation is None else named(conv=conv, bn=bn, activation=activation)


def classifier(features: int) -> nn.Sequential:
    """Average over the map, then one dense layer."""
    return named(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), dense=nn.Linear(features, CLASSES))


def digits_mobilenet() -> nn.Module:
    """MobileNet v1: depthwise and pointwise convolutions, each with batch norm and ReLU6."""
    network = named(
        stem=conv_bn(1, 16, nn.ReLU6()),
        block1=_separable(16, 32),
        block2=_separable(32, 64, stride=2),
        block3=_separable(64, 64),
        block4=_separable(64, 128, stride=2),
        block5=_separable(128, 128),
        head=classifier(128),
    )
    _spread_depthwise_ranges(network)
    return network


def digits_resnet() -> nn.Module:
    """ResNet: four blocks with residual additions, the third with a strided 1x1 convolution as its shortcut."""
    return named(
        stem=conv_bn(1, 16, nn.ReLU()),
        pool=nn.MaxPool2d(2),
        block1=Residual(16, 16),
        block2=Residual(16, 16),
        block3=Residual(16, 32, stride=2),
        block4=Residual(32, 32),
        head=classifier(32),
    )


def digits_se() -> nn.Module:
    """MobileNet v3: inverted residual blocks with squeeze-excite, HardSigmoid and HardSwish."""
    network = named(
        stem=conv_bn(1, 16, nn.Hardswish()),
        block1=InvertedResidual(16, 32, 16),
        block2=InvertedResidual(16, 48, 24, stride=2),
        block3=InvertedResidual(24, 72, 24),
        block4=InvertedResidual(24, 72, 40, stride=2),
        last=conv_bn(40, 96, nn.Hardswish(), kernel=1),
        head=classifier(96),
    )
    _spread_depthwise_ranges(network)
    return network


def digits_mlp() -> nn.Module:
    """Dense layers: one with a bias (Gemm), one with a batch norm instead (MatMul), and the logits."""
    return named(
        flatten=nn.Flatten(),
        dense1=nn.Linear(SIDE * SIDE, 128),
        relu1=nn.ReLU(),
        dense2=nn.Linear(128, 64, bias=False),
        bn2=nn.BatchNorm1d(64),
        relu2=nn.ReLU(),
        logits=nn.Linear(64, CLASSES),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, nn.ReLU(), stride=stride)
        self.second = conv_bn(outputs, outputs)
        self.shortcut = conv_bn(inputs, outputs, kernel=1, stride=stride) if stride > 1 else nn.Sequential()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.second(self.first(x)) + self.shortcut(x))
        return y


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate in [0, 1] computed from the averages of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // 4
        self.gate = named(
            pool=nn.AdaptiveAvgPool2d(1),
            reduce=nn.Conv2d(channels, squeezed, 1),
            relu=nn.ReLU(),
            expand=nn.Conv2d(squeezed, channels, 1),
            hardsigmoid=nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(x)
        return x * gate


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excite, project without activation; an addition where the shapes agree."""

    def __init__(self, inputs: int, expanded: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.branch = named(
            expand=conv_bn(inputs, expanded, nn.Hardswish(), kernel=1),
            depthwise=conv_bn(expanded, expanded, nn.Hardswish(), stride=stride, groups=expanded),
            squeeze_excite=SqueezeExcite(expanded),
            project=conv_bn(expanded, outputs, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return y + x if self.residual else y


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return named(
        depthwise=conv_bn(inputs, inputs, nn.ReLU6(), stride=stride, groups=inputs),
        pointwise=conv_bn(inputs, outputs, nn.ReLU6(), kernel=1),
    )


def _spread_depthwise_ranges(network: nn.Module) -> None:
    """Starts the batch norms after depthwise convolutions with gains from 1/4 to 4, log-uniform.

    Channel ranges far apart are what makes depthwise layers of large networks hard to quantize. Trained from equal gains, the
    folded weights of these small ones end only a factor of 3 to 10 apart.
    """
    depthwise_channels = None
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            depthwise_channels = module.out_channels if module.groups > 1 else None
        elif isinstance(module, nn.BatchNorm2d) and module.num_features == depthwise_channels:
            nn.init.uniform_(module.weight, -math.log(4), math.log(4))
            with torch.no_grad():
                module.weight.exp_()


def with_weights_of(network: nn.Module, path: Path) -> nn.Module:
    """The network with the weights of its ONNX file, whose names are those of the modules."""
    state = network.state_dict()
    for tensor in onnx.load(path).graph.initializer:
        if tensor.name in state:
            array = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            # A dense layer without bias is a MatMul, whose weight lies the other way.
            state[tensor.name] = array if array.shape == state[tensor.name].shape else array.T
    network.load_state_dict(state)
    return network


def digits_few_valued(values: Values) -> nn.Module:
    """Convolutions and dense layers whose weights have two or three values, and signs between them (Hubara et al. 2016)."""
    few: dict[str, Any] = {"values": values, "scaled": values != "binary", "bias": False}
    return named(
        conv1=FewValuedConv2d(1, 32, 3, padding=1, **few), norm1=nn.BatchNorm2d(32), sign1=Sign(),
        conv2=FewValuedConv2d(32, 32, 3, 2, 1, **few), norm2=nn.BatchNorm2d(32), sign2=Sign(),
        conv3=FewValuedConv2d(32, 64, 3, 2, 1, **few), norm3=nn.BatchNorm2d(64), sign3=Sign(),
        conv4=FewValuedConv2d(64, 64, 3, 1, 1, **few), norm4=nn.BatchNorm2d(64), sign4=Sign(), flatten=nn.Flatten(),
        dense1=FewValuedLinear(1024, 128, **few), norm5=nn.BatchNorm1d(128), sign5=Sign(),
        dense2=FewValuedLinear(128, CLASSES, **few), norm6=nn.BatchNorm1d(CLASSES),
    )  # fmt: skip
