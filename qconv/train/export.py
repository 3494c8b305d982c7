"""`export`: a trained network as ONNX with QuantizeLinear and DequantizeLinear, which `qconv quantize` takes in whole."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from qconv.model.save import PRODUCER, save

from .binary import SimulatedBinary
from .gates import SimulatedGate
from .layers import SimulatedLayer
from .mean import SimulatedMean
from .network import SimulatedNetwork
from .operators import translations
from .quantizers import ActivationQuantizer
from .settle import settle

_OPSET = 18  # onnxruntime 1.32 mistypes int8 pairs around a Reshape from 21 on


@contextmanager
def _silenced() -> Iterator[None]:
    """Runs without what the exporter logs about libraries that are not there."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def frozen(network: SimulatedNetwork) -> nn.Module:
    """A copy in evaluation mode with all weights as codes and all parameters as constants.

    The network itself goes to evaluation mode, and takes the scales that are proved: it computes the same from here on.
    """
    with torch.no_grad():
        network.eval()(*network.example)  # gives ranges to what has never seen a batch
    for name, module in network.network.named_modules():
        if isinstance(module, SimulatedLayer):
            settle(name, module, network.target)
    fixed = copy.deepcopy(network.network).eval()
    done: dict[nn.Module, nn.Module] = {}
    for name, module in tuple(fixed.named_modules(remove_duplicate=False)):
        if isinstance(module, SimulatedBinary | SimulatedGate | SimulatedLayer | SimulatedMean | ActivationQuantizer):
            parent, _, leaf = name.rpartition(".")
            setattr(fixed.get_submodule(parent), leaf, done.setdefault(module, module.frozen()))
    return fixed


def export(
    network: SimulatedNetwork,
    path: str | Path,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    any_batch: bool = True,
) -> None:
    """Writes the network with its weights as codes; the first axis of every input has any size unless `any_batch` is off.

    Raises OutputError where the file cannot be written, ModelError where torch cannot export the module.
    """
    fixed = frozen(network)
    axes = tuple({0: "batch"} if any_batch and example.ndim else None for example in network.example)
    with warnings.catch_warnings(), _silenced(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about its own parts
        program = torch.onnx.export(
            fixed, network.example, dynamo=True, verbose=False, opset_version=_OPSET,
            custom_translation_table=translations(), dynamic_shapes=axes if any_batch else None,
            input_names=list(input_names) if input_names else None, output_names=list(output_names) if output_names else None,
        )  # fmt: skip
    assert program is not None
    for node in program.model.graph.all_nodes():  # where in the source it stood, which is most of the file
        node.metadata_props.clear()
    program.model.producer_name = PRODUCER
    save(program.model, Path(path))
