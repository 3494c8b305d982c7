"""A short training of an ONNX network against itself: the rounded network learns to give what the exact one gives."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from qconv.config import QuantConfig
from qconv.errors import DataError
from qconv.plan.quant_plan import QuantPlan

from .begin import begin_with
from .export import export
from .from_onnx import from_onnx
from .network import SimulatedNetwork
from .prepare import prepare
from .settings import Training

Feeds = Mapping[str, NDArray[Any]]
Progress = Callable[[int, int | None], None]
_HELD_BACK = 10  # one sample in so many tells how good a step is
_CHECKS = 20  # how often
_WATCHED = 4  # batches that only show their ranges
_RISE = 10  # steps until the learning rate is full
_LOST, _SLOWER = 1.5, 0.3  # how many times the least noise is a failure, and what the learning rate becomes then


@dataclass(frozen=True)
class Tuned:
    """What training gained: signal over noise of the outputs against the exact network, in dB, on samples held back."""

    before_db: float
    after_db: float
    steps: int
    samples: int


def tune(
    graph: ir.Graph, samples: Sequence[Feeds], path: Path, config: QuantConfig = QuantConfig(), *,
    plan: QuantPlan | None = None, labels: Sequence[int] | None = None, steps: int = 500, batch: int = 32,
    learning_rate: float = 2e-3, seed: int = 0, progress: Progress | None = None,
) -> Tuned:  # fmt: skip
    """Trains a prepared graph and writes it with QuantizeLinear and DequantizeLinear to `path`.

    Training begins with the scales, weight codes and biases of a `plan` for the graph, or else with what the first samples show.
    The loss is the noise at the outputs against the exact network, and a tenth of the cross entropy of the first output where
    there are `labels`. The best of some checks on held-back samples is written. Inputs that have one row for each sample are
    joined to batches of `batch` rows.
    Raises ModelError for a graph that torch cannot build, DataError for fewer than two samples.
    """
    if len(samples) < 2:
        raise DataError("training needs at least two samples, one of them to hold back; give more with --data")
    torch.manual_seed(seed)
    teacher = from_onnx(graph).eval()
    inputs = [str(value.name) for value in graph.inputs if value.name not in graph.initializers]
    rows = [tuple(torch.from_numpy(np.array(sample[name])) for name in inputs) for sample in samples]
    joined = _batch_is_free(graph)
    held = held_back(len(rows))
    learn = [index for index in range(len(rows)) if index not in held]
    delay = _WATCHED if plan is None else 0
    student = prepare(
        teacher, _joined(rows[: min(8, len(rows))] if joined else rows[:1]), config, Training(delay=delay, freeze=0)
    )
    if plan is not None:
        begin_with(student, graph, plan)
    targets = _Outputs(teacher, [_joined([rows[index]]) for index in held])
    with torch.no_grad():  # ranges begin from real samples
        for start in range(_WATCHED):
            student.train()(*_joined([rows[index] for index in learn[start::_WATCHED][: batch if joined else 1] or learn[:1]]))
    before = best = targets.noise(student)
    state = copy.deepcopy(student.state_dict())
    optimizer = torch.optim.Adam(_relative(student, learning_rate))
    generator, rate = torch.Generator().manual_seed(seed), learning_rate
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:  # a short rise, as Adam's first steps are as large as its rate, then along a cosine
            group["lr"] = group["size"] * rate * min(1.0, step / _RISE, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        chosen = [learn[int(i)] for i in torch.randint(len(learn), (batch if joined else 1,), generator=generator)]
        feeds = _joined([rows[index] for index in chosen])
        loss = _loss(student.train(), teacher, feeds, None if labels is None else torch.tensor([labels[i] for i in chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % max(1, steps // _CHECKS) == 0 or step == steps:
            noise = targets.noise(student)
            if noise < best:
                best, state = noise, copy.deepcopy(student.state_dict())
            elif not noise < _LOST * best:  # too fast for this network: back, and slower
                student.load_state_dict(state)
                rate *= _SLOWER
                optimizer = torch.optim.Adam(_relative(student, rate))
        if progress is not None:
            progress(step, steps)
    student.load_state_dict(state)
    export(student, path, input_names=inputs, output_names=[str(value.name) for value in graph.outputs], any_batch=joined)
    return Tuned(_db(before), _db(best), steps, len(rows))


def held_back(count: int) -> range:
    """Which of so many samples tell how good a step is, and are not learned from."""
    return range(0, count, max(2, min(_HELD_BACK, count)))


def _relative(student: SimulatedNetwork, learning_rate: float) -> list[dict[str, Any]]:
    """A group for each parameter, whose rate is relative to its size: folded weights differ by orders of magnitude."""
    groups = []
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            logarithm = name.endswith("log_step")
            size = 1.0 if logarithm else float(parameter.detach().square().mean().sqrt().clamp_min(1e-8))
            groups.append({"params": [parameter], "lr": learning_rate * size, "size": size})
    return groups


class _Outputs:
    """What the exact network gives for the samples that are held back."""

    def __init__(self, teacher: nn.Module, feeds: Sequence[tuple[Tensor, ...]]) -> None:
        self._feeds = feeds
        with torch.no_grad():
            self._wanted = [_tuple(teacher(*feed)) for feed in feeds]

    def noise(self, student: SimulatedNetwork) -> float:
        """The mean over the outputs of noise power over signal power."""
        student.eval()
        with torch.no_grad():
            found = [_tuple(student(*feed)) for feed in self._feeds]
        shares = []
        for index in range(len(self._wanted[0])):
            signal = sum(float(wanted[index].square().sum()) for wanted in self._wanted)
            noise = sum(float((a[index] - b[index]).square().sum()) for a, b in zip(found, self._wanted, strict=True))
            shares.append(noise / max(signal, 1e-30))
        return float(np.mean(shares))


def _loss(student: nn.Module, teacher: nn.Module, feeds: tuple[Tensor, ...], labels: Tensor | None) -> Tensor:
    with torch.no_grad():
        wanted = _tuple(teacher(*feeds))
    found = _tuple(student(*feeds))
    loss = torch.stack(
        [functional.mse_loss(a, b) / b.square().mean().clamp_min(1e-12) for a, b in zip(found, wanted, strict=True)]
    ).sum()
    if labels is not None and found[0].ndim == 2:
        loss = loss + 0.1 * functional.cross_entropy(found[0], labels)
    return loss


def _joined(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*rows, strict=True))


def _batch_is_free(graph: ir.Graph) -> bool:
    """Whether the first axis of every input has any size."""
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    return all(value.shape is not None and len(value.shape) > 0 and not isinstance(value.shape[0], int) for value in inputs)


def _tuple(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _db(noise: float) -> float:
    return float(-10.0 * np.log10(max(noise, 1e-30)))
