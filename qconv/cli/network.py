"""What a calibration does not tell of its network: the order of tensors, and which of them a user reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from qconv.statistics.calibration import Calibration


@dataclass(frozen=True)
class Network:
    """Names of all tensors in graph order, and of those that method auto leaves their extremes; empty where it is not known."""

    order: tuple[str, ...] = ()
    outcomes: frozenset[str] = frozenset()


def network_of(graph: ir.Graph) -> Network:
    """The network that a prepared graph is."""
    from qconv.plan.outcomes import outcomes

    values = (*graph.inputs, *(value for node in graph for value in node.outputs))
    return Network(tuple(str(value.name) for value in values), frozenset(outcomes(graph)))


def network_beside(path: Path, calibration: Calibration) -> Network | None:
    """Of MODEL.onnx beside the calibration file MODEL.calib.json; None where it is not the model that was calibrated."""
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
