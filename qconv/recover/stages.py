"""A network that is run in stages for all samples together, each stage once: what it leaves is carried from cut to cut.

A stage ends in front of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from qconv.model.stages import Cuttable, Values, run_session
from qconv.recover.carried import Carried

Feeds = Mapping[str, NDArray[np.generic]]
HELD_BYTES = 48 << 20  # in memory, by one network, of all samples together; more is in files
CARRIED_BYTES = 192 << 20  # in memory and in files
FEWEST = 8  # samples that are kept, whatever they take


class Stages:
    """One network, cut in front of some nodes, for all samples together.

    Where what is carried takes more than a budget, the last samples are given up.
    """

    def __init__(self, model: ir.Model, cuts: Sequence[ir.Node], samples: Sequence[Feeds], threads: int) -> None:
        self._graph, self._threads = Cuttable(model), threads
        self._cuts = [self._graph.place[node] for node in cuts]
        self._begin = 0
        self._carried = Carried(samples, HELD_BYTES)

    def advance(self, wanted: Sequence[str]) -> Iterator[Values]:
        """Runs one sample after the other up to the next cut, or to the end, and gives the values that `wanted` names of each.

        They are values that this stage makes, or that are carried. Who stops before the last sample keeps those that were run.
        """
        end = self._cuts.pop(0) if self._cuts else len(self._graph.nodes)
        nodes = self._graph.nodes[self._begin : end]
        self._begin = end
        live = self._graph.live(end)
        made = {str(value.name) for node in nodes for value in node.outputs}
        produced = [name for name in dict.fromkeys([*live, *wanted]) if name in made]
        session = None
        if produced:
            session = self._graph.session(self._carried[0], produced, threads=self._threads, fuse_quantized=False)
        return self._run_samples(session, produced, live, wanted)

    def _run_samples(
        self, session: ort.InferenceSession | None, produced: Sequence[str], live: Sequence[str], wanted: Sequence[str]
    ) -> Iterator[Values]:
        room = CARRIED_BYTES
        for index in range(len(self._carried)):
            what, values = "a stage of the network cannot run", self._carried[index]
            made = {} if session is None else run_session(session, produced, values, what)
            given = {name: made[name] if name in made else values[name] for name in wanted}
            self._carried.replace(index, live, made)
            del made
            room -= self._carried.nbytes(index)
            yield given
            if room < 0 and index + 1 >= FEWEST:
                self.keep(index + 1)
                return

    @property
    def nbytes(self) -> int:
        """What is carried of all samples."""
        return sum(self._carried.nbytes(index) for index in range(len(self._carried)))

    @property
    def samples(self) -> int:
        """How many samples are carried."""
        return len(self._carried)

    def keep(self, count: int) -> None:
        """Keeps the first `count` samples and gives up the others."""
        self._carried.keep(count)
