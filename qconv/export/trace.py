"""From an integer ONNX model to a `Network`."""

from __future__ import annotations

import onnx_ir as ir

from qconv.errors import FloatNodesError
from qconv.export.network import Network
from qconv.export.operators import RULES
from qconv.export.tracer import Tracer
from qconv.integer.language.audit import audit, makes_integers_of_input
from qconv.integer.program import Program
from qconv.sentences import counted


def network_of(model: ir.Model) -> Network:
    """The network of an integer model, for one sample.

    Raises FloatNodesError for one with float nodes, and for an operator that has no place in a network.
    """
    refuse_float_nodes(model)
    return Tracer(Program.read(model), RULES).network()


def sizes_taken_as_one(model: ir.Model, network: Network | None) -> list[str]:
    """The names of free sizes that a network of one sample has as 1 although they count no samples."""
    names = [str(size) for value in model.graph.inputs for size in (value.shape or ())[1:] if not isinstance(size, int)]
    if network is not None and any(node.body is not None and node.body.count == 1 for node in network.nodes):
        names += [str(value.shape[0]) for value in model.graph.inputs if value.shape and not isinstance(value.shape[0], int)]
    return list(dict.fromkeys(names))


def refuse_float_nodes(model: ir.Model) -> None:
    """Raises FloatNodesError for a model with float nodes."""
    left = audit(model).float_nodes
    if left:
        listed = ", ".join(f"{node.name} ({node.op_type})" for node in left[:5])
        raise FloatNodesError(f"what is in float has no form outside onnxruntime, {counted(len(left), 'node')} here: {listed}")
    cast = next((node for node in model.graph if makes_integers_of_input(node)), None)
    if cast is not None and cast.inputs[0] is not None:
        raise FloatNodesError(
            f"node {cast.name} makes integers of the reals of input {cast.inputs[0].name}, which has no form outside "
            "onnxruntime; let the float model take integers there"
        )
