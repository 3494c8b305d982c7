"""Training that begins where post-training quantization ends: with its scales, weight codes and biases."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from qconv.ops.op_table import has_weight
from qconv.plan.quant_plan import QuantPlan

from .from_onnx import module_name
from .layers import SimulatedLayer
from .network import SimulatedNetwork
from .quantizers import ActivationQuantizer


def begin_with(student: SimulatedNetwork, graph: ir.Graph, plan: QuantPlan) -> None:
    """Gives a network that was prepared from `graph` (from_onnx.py) what a plan for it says; what a plan does not know stays."""
    for module in student.modules():
        if isinstance(module, ActivationQuantizer) and module.tensor in plan.tensors:
            module.begin_with(plan.tensors[str(module.tensor)])
    for node in graph:
        name = module_name(node)
        layer = student.network.get_submodule(name) if _has_module(student, name) and has_weight(node) else None
        if isinstance(layer, SimulatedLayer):
            _begin_layer(layer, node, plan)


def _has_module(student: SimulatedNetwork, name: str) -> bool:
    return name in dict(student.network.named_modules())


def _begin_layer(simulated: SimulatedLayer, node: ir.Node, plan: QuantPlan) -> None:
    name, layer = str(node.inputs[1].name) if node.inputs[1] is not None else "", simulated.layer
    params, codes, bias = plan.tensors.get(name), plan.weight_codes.get(name), plan.biases.get(name)
    if params is None:
        return
    simulated.rounding.begin_with(torch.from_numpy(np.array(params.scale)))
    with torch.no_grad():
        if codes is not None:
            reals = torch.from_numpy(np.array(params.dequantize(codes)))
            layer.weight.copy_(reals if reals.shape == layer.weight.shape else reals.T)
        if bias is not None:
            layer.bias = nn.Parameter(torch.from_numpy(np.array(bias)))
