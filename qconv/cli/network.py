"""What a calibration does not tell of its network: the order of tensors, which of them a user reads, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from qconv.statistics.calibration import Calibration
    from qconv.statistics.summary import Summary


@dataclass(frozen=True)
class Network:
    """Names of all tensors in graph order, and of those that method auto leaves their extremes; empty where it is not known."""

    order: tuple[str, ...] = ()
    outcomes: frozenset[str] = frozenset()
    weights: Mapping[str, Summary] = field(default_factory=dict)


def network_of(graph: ir.Graph) -> Network:
    """The network that a prepared graph is."""
    from qconv.plan.outcomes import outcomes

    values = (*graph.inputs, *(value for node in graph for value in node.outputs))
    return Network(tuple(str(value.name) for value in values), frozenset(outcomes(graph)), _weights(graph))


def _weights(graph: ir.Graph) -> dict[str, Summary]:
    """Summaries of the weights of all layers, in graph order."""
    from qconv.model.graph import const_array
    from qconv.ops.op_table import has_weight
    from qconv.statistics.summary import Summary

    values = [node.inputs[1] for node in graph if has_weight(node)]
    arrays = {str(value.name): const_array(value) for value in values if value is not None}
    return {name: Summary.of(np.asarray(array, np.float32).ravel()) for name, array in arrays.items() if array is not None}


def network_beside(path: Path, calibration: Calibration) -> Network | None:
    """The network of MODEL.onnx beside the calibration MODEL.calib.json; None where it is not the model that was calibrated."""
    from qconv.errors import ModelError
    from qconv.pipeline import CALIBRATION_SUFFIX, load_prepared

    model = path.with_name(f"{path.name.removesuffix(CALIBRATION_SUFFIX)}.onnx")
    if not model.is_file():
        return None
    try:
        loaded = load_prepared(model)
    except ModelError:
        return None
    return network_of(loaded.ir.graph) if loaded.digest == calibration.model_sha256 else None
