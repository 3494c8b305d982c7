"""Writes a torch network as PyTorch's own exporter does, without what that notes of this machine."""

import logging
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

OPSET = 18
_EXAMPLES = 2  # in the batch that is traced: one alone would be taken for a constant


def to_onnx(network: nn.Module, name: str, inputs: dict[str, Tensor], output: str) -> onnx.ModelProto:
    """The network in evaluation mode as a checked model whose first dimension is free."""
    examples = tuple(tensor[:_EXAMPLES] for tensor in inputs.values())
    batch = {key: {0: "batch"} for key in inputs}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it looks for torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the exporter itself calls
        program = torch.onnx.export(
            network, examples, dynamo=True, opset_version=OPSET, input_names=list(inputs), output_names=[output],
            dynamic_shapes=batch, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    _forget(model.graph)
    model.graph.name = name
    onnx.checker.check_model(model, full_check=True)
    return model


def _forget(graph: onnx.GraphProto) -> None:
    """Removes the stack traces, and the shapes of values within, which whoever reads the model infers."""
    del graph.value_info[:], graph.metadata_props[:]
    parts: Sequence[onnx.NodeProto | onnx.ValueInfoProto | onnx.TensorProto] = [
        *graph.node, *graph.input, *graph.output, *graph.initializer,
    ]  # fmt: skip
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
