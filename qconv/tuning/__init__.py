"""Integer graphs made faster; every element stays what it was."""

from collections.abc import Callable, Mapping

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.names import Names
from qconv.targets import Tuning
from qconv.tuning.widen_channels import widen_depthwise

Pass = Callable[[ir.Graph, Names, dict[ir.Node, Meaning]], int]

TUNING_PASSES: Mapping[Tuning, Pass] = {Tuning.WIDEN_DEPTHWISE: widen_depthwise}
