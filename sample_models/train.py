"""Trains the sample networks and writes them, their calibration and test samples, and the table in README.md.

Usage: python sample_models/train.py [NAME...]      all networks, or those that are named
"""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_export
import onnxruntime as ort
import torch
import torch_export
from detector import Detector
from digits import CLASSES, SIDE, Split, load_split
from sequence_networks import Encoder, Lstm, VisionTransformer
from tasks import Finding, Pictures, Sentences, Task
from torch import Tensor, nn

FOLDER = Path(__file__).parent
SEED = 2024
# float32 sums in another order differ by about 1e-6 relative; a wrong layer differs by far more.
LARGEST_RELATIVE_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Recipe:
    """What a network is, what it learns, and how it is written."""

    build: Callable[[], nn.Module]
    task: Callable[[Split], Task]
    peak_learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    export: Callable[[nn.Module, str, Task], onnx.ModelProto] = lambda network, name, _task: onnx_export.to_onnx(
        network, name, (1, SIDE, SIDE), CLASSES
    )


def by_torch(network: nn.Module, name: str, task: Task) -> onnx.ModelProto:
    """As PyTorch's own exporter writes a network."""
    return torch_export.to_onnx(network, name, task.test_inputs(), task.output)


RECIPES = {
    "digits_mobilenet": Recipe(networks.digits_mobilenet, Pictures),
    "digits_resnet": Recipe(networks.digits_resnet, Pictures),
    "digits_se": Recipe(networks.digits_se, Pictures),
    "digits_mlp": Recipe(networks.digits_mlp, Pictures),
    "digits_vit": Recipe(VisionTransformer, Pictures, 3e-3, 1e-2, by_torch),
    "digits_bert": Recipe(Encoder, Sentences, 6e-3, 1e-2, by_torch),
    "digits_lstm": Recipe(Lstm, Pictures, 6e-3, 1e-3, by_torch),
    "digits_yolo": Recipe(Detector, lambda split: Finding(split, SEED, epochs=20), 1e-2, 1e-3, by_torch),
}


@dataclass(frozen=True)
class Result:
    """One row of the README's table."""

    name: str
    nodes: int
    parameters: int
    size: int
    score: str

    def row(self) -> str:
        """The result as a row of a Markdown table."""
        return f"| `{self.name}.onnx` | {self.nodes} | {self.parameters:,} | {self.size / 1000:.0f} kB | {self.score} |"


def main(names: list[str]) -> None:
    """Makes the files of these networks and of what they learn from; prints a line for each network."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums split over threads would depend on the machine
    split = load_split(SEED)
    for name in names or RECIPES:
        started = time.perf_counter()
        result = make(name, RECIPES[name], split)
        record(result)
        print(result.row(), f"{time.perf_counter() - started:.0f} s", flush=True)


def make(name: str, recipe: Recipe, split: Split) -> Result:
    """Trains one network, writes its ONNX file and its samples, and tests that file in onnxruntime."""
    task = recipe.task(split)
    task.save(FOLDER)
    torch.manual_seed(SEED)
    network = recipe.build()
    train(network, task, recipe)
    model = recipe.export(network, name, task)
    inputs = task.test_inputs()
    outputs = run(model, inputs)
    require_same(network, inputs, outputs)
    path = FOLDER / f"{name}.onnx"
    onnx.save(model, path)
    parameters = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    return Result(name, len(model.graph.node), parameters, path.stat().st_size, task.score(outputs))


def train(network: nn.Module, task: Task, recipe: Recipe) -> None:
    """Fits the network in place and leaves it in evaluation mode."""
    generator = torch.Generator().manual_seed(SEED)
    steps = task.epochs * task.steps(generator)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak_learning_rate, steps)
    network.train()
    for _ in range(task.epochs):
        for inputs, wanted in task.epoch(generator):
            outputs = network(*inputs)
            optimizer.zero_grad()
            task.loss(outputs, wanted).backward()
            optimizer.step()
            schedule.step()
    network.eval()


def run(model: onnx.ModelProto, inputs: dict[str, Tensor]) -> np.ndarray:
    """What the model gives in onnxruntime."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0])


def require_same(network: nn.Module, inputs: dict[str, Tensor], outputs: np.ndarray) -> None:
    """Raises RuntimeError if the exported model's outputs are not those of the torch network."""
    with torch.no_grad():
        expected = network(*inputs.values()).numpy()
    difference = float(np.abs(expected - outputs).max() / np.abs(expected).max())
    if difference > LARGEST_RELATIVE_DIFFERENCE:
        raise RuntimeError(f"the exported model differs from the torch network by {difference:.1e} relative")


def record(result: Result) -> None:
    """Puts its row into the table between the two markers of README.md, in the place of an older one."""
    readme = FOLDER / "README.md"
    marked = re.compile("(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)
    text = readme.read_text(encoding="utf-8")
    found = marked.search(text)
    if found is None:
        raise RuntimeError(f"{readme} lacks its results markers")
    head, rule, *rows = found.group().splitlines()
    others = {row.split("`")[1].removesuffix(".onnx"): row for row in rows}
    others[result.name] = result.row()
    table = "\n".join([head, rule, *(others[name] for name in RECIPES if name in others)])
    readme.write_text(marked.sub(f"{table}\n", text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
