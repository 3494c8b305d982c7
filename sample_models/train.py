"""Trains the sample networks and writes them, their calibration and test samples, and the table in README.md.

Usage: python sample_models/train.py
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
import onnx
import onnxruntime as ort
import torch
from digits import CLASSES, SIDE, Samples, Split, augmented, load_split
from onnx_export import INPUT, OUTPUT, to_onnx
from torch import Tensor, nn

FOLDER = Path(__file__).parent
SEED = 2024
EPOCHS = 60
BATCH = 50
PEAK_LEARNING_RATE = 4e-3
# float32 sums in another order differ by about 1e-6 relative; a wrong layer differs by far more.
LARGEST_RELATIVE_DIFFERENCE = 1e-4

NETWORKS: list[Callable[[], nn.Module]] = [
    networks.digits_mobilenet,
    networks.digits_resnet,
    networks.digits_se,
    networks.digits_mlp,
]


@dataclass(frozen=True)
class Result:
    """One row of the README's table; `correct` of `tested` samples."""

    name: str
    nodes: int
    parameters: int
    size: int
    correct: int
    tested: int

    def row(self) -> str:
        """The result as a row of a Markdown table."""
        accuracy = f"{self.correct / self.tested:.2%} ({self.correct} of {self.tested})"
        return f"| `{self.name}.onnx` | {self.nodes} | {self.parameters:,} | {self.size / 1000:.0f} kB | {accuracy} |"


def main() -> None:
    """Makes all files of this folder that are not code; prints a line for each network."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums split over threads would depend on the machine
    split = load_split(SEED)
    save_samples(split)
    results = []
    for build in NETWORKS:
        started = time.perf_counter()
        results.append(make(build, split))
        print(results[-1].row(), f"{time.perf_counter() - started:.0f} s", flush=True)
    record(results)


def make(build: Callable[[], nn.Module], split: Split) -> Result:
    """Trains one network, writes its ONNX file, and tests that file in onnxruntime."""
    name = build.__name__
    torch.manual_seed(SEED)
    network = build()
    train(network, split.train)
    model = to_onnx(network, name, (1, SIDE, SIDE), CLASSES)
    logits = run(model, split.test.images)
    require_same(network, split.test.images, logits)
    path = FOLDER / f"{name}.onnx"
    onnx.save(model, path)
    correct = int((logits.argmax(1) == split.test.labels.numpy()).sum())
    parameters = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    return Result(name, len(model.graph.node), parameters, path.stat().st_size, correct, len(split.test))


def train(network: nn.Module, samples: Samples) -> None:
    """Fits the network in place and leaves it in evaluation mode."""
    generator = torch.Generator().manual_seed(SEED)
    steps = EPOCHS * (len(samples) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, steps)
    network.train()
    for _ in range(EPOCHS):
        for indices in torch.randperm(len(samples), generator=generator).split(BATCH):
            batch = samples.at(indices)
            logits = network(augmented(batch.images, generator))
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, batch.labels, label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    network.eval()


def run(model: onnx.ModelProto, images: Tensor) -> np.ndarray:
    """The model's logits [N, 10] in onnxruntime."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def require_same(network: nn.Module, images: Tensor, logits: np.ndarray) -> None:
    """Raises RuntimeError if the exported model's logits are not those of the torch network."""
    with torch.no_grad():
        expected = network(images).numpy()
    difference = float(np.abs(expected - logits).max() / np.abs(expected).max())
    if difference > LARGEST_RELATIVE_DIFFERENCE:
        raise RuntimeError(f"the exported model differs from the torch network by {difference:.1e} relative")


def save_samples(split: Split) -> None:
    """Writes digits_calib.npz (`image`) and digits_test.npz (`image`, `labels`)."""
    np.savez_compressed(FOLDER / "digits_calib.npz", image=split.calibration.images.numpy())
    test = split.test
    np.savez_compressed(FOLDER / "digits_test.npz", image=test.images.numpy(), labels=test.labels.numpy())


def record(results: list[Result]) -> None:
    """Puts the table between the two markers of README.md."""
    readme = FOLDER / "README.md"
    heading = ["| model | nodes | parameters | file | test accuracy |", "|---|---|---|---|---|"]
    table = "\n".join([*heading, *(result.row() for result in results)])
    marked = re.compile("(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)
    text, tables = marked.subn(f"{table}\n", readme.read_text(encoding="utf-8"))
    if tables != 1:
        raise RuntimeError(f"{readme} lacks its results markers")
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
