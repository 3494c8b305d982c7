"""`tflite_model`: an integer model as a file of TFLite."""

from __future__ import annotations

import onnx_ir as ir

from qconv.export.trace import refuse_float_nodes
from qconv.integer.program import Program

from .rules import RULES
from .translate import Translation


def tflite_model(model: ir.Model) -> bytes:
    """The file, for one sample. Raises FloatNodesError where a node is in float or has no form in TFLite."""
    refuse_float_nodes(model)
    return Translation(Program.read(model), RULES).run()
