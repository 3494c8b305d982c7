"""Integer graphs made faster; every element stays what it was.

A rule is `name(graph, names, meanings) -> int`: it edits the graph that lowering has written, in place, together with what its
nodes mean, and returns how many places it changed. It takes new names from `names`, and gives each node that rescales the
multipliers and the proof that hold for it now. `Target.tuning` says where a rule runs, and `--no-tune` leaves all of them out.

Rules work on nodes and meanings, and not on the Program. A Program is frozen, and describes a graph that is finished: `lower`
builds it once, behind the last rule, and checks it against the language and the target. A rule on the Program would have to edit
the nodes all the same, as files are written from them, and every rule would build the Program anew for the next one.
"""

from collections.abc import Callable, Mapping

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.names import Names
from qconv.targets import Tuning
from qconv.tuning.expand_late import expand_late
from qconv.tuning.lift_rows import lift_rows
from qconv.tuning.merge_groups import merge_groups
from qconv.tuning.merge_reshapes import merge_reshapes
from qconv.tuning.products_as_convolutions import products_as_convolutions
from qconv.tuning.scalars_of_columns import scalars_of_columns
from qconv.tuning.widen_channels import widen_depthwise

Pass = Callable[[ir.Graph, Names, dict[ir.Node, Meaning]], int]

TUNING_PASSES: Mapping[Tuning, Pass] = {
    Tuning.MERGE_GROUPS: merge_groups,
    Tuning.WIDEN_DEPTHWISE: widen_depthwise,
    Tuning.PRODUCTS_AS_CONVOLUTIONS: products_as_convolutions,
    Tuning.LIFT_ROWS: lift_rows,
    Tuning.MERGE_RESHAPES: merge_reshapes,
    Tuning.EXPAND_LATE: expand_late,
    Tuning.SCALARS_OF_COLUMNS: scalars_of_columns,
}
