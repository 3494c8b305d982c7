"""Trains sample networks under quantization and writes them with QuantizeLinear and DequantizeLinear, and README.md's tables.

Usage: python sample_models/train_quantized.py
"""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnxruntime as ort
import torch
from digits import Split, augmented, load_split
from torch import Tensor, nn

import qconv
from qconv import QuantConfig
from qconv.train import SimulatedNetwork, Training, distillation_loss, export, prepare
from qconv.train.binarized import clip_weights
from qconv.train.powers import RoundedGradient

FOLDER = Path(__file__).parent
SEED, BATCH = 2024, 50
FLOAT = FOLDER / "digits_mobilenet.onnx"
EPOCHS = {8: 6, 4: 25, 3: 25, 2: 40}


def main() -> None:
    """Makes the files and both tables."""
    torch.set_num_threads(1)  # sums split over threads would depend on the machine
    split = load_split(SEED)
    record("quantized", ["| bits | scales | PTQ, full recovery | QAT, simulated | QAT, integer | codes that differ | seconds |",
                         "|---|---|---|---|---|---|---|", *mobilenets(split)])  # fmt: skip
    record("few values", ["| weights | activations | gradients | trained network | integer | codes that differ |",
                          "|---|---|---|---|---|---|", *few_valued(split)])  # fmt: skip


def mobilenets(split: Split) -> Iterator[str]:
    """A row for each number of bits and each granularity."""
    for bits in (8, 4, 3, 2):
        for per_tensor in (False, True):
            config = QuantConfig(weight_bits=bits, activation_bits=bits, per_tensor=per_tensor)
            started = time.perf_counter()
            network = trained_mobilenet(split, config, EPOCHS[bits])
            seconds = time.perf_counter() - started
            keep = FOLDER / f"digits_mobilenet_qat{bits}.onnx" if bits > 2 and not per_tensor else None
            simulated, integer, differing = compare(network, split, keep)
            row = (f"{bits}", "per tensor" if per_tensor else "per channel", f"{post_training(config, split):.2%}",
                   f"{simulated:.2%}", f"{integer:.2%}", f"{differing}", f"{seconds:.0f}")  # fmt: skip
            yield told(row)


def trained_mobilenet(split: Split, config: QuantConfig, epochs: int) -> SimulatedNetwork:
    """The sample MobileNet after some epochs under simulated quantization, its float self as the teacher."""
    torch.manual_seed(SEED)
    teacher = networks.with_weights_of(networks.digits_mobilenet(), FLOAT).eval()
    steps = epochs * (len(split.train) // BATCH)
    network = prepare(teacher, split.train.images[:2], config, Training(delay=25, freeze=steps * 2 // 3))
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for images, labels in batches(split, steps):
        with torch.no_grad():
            wanted = teacher(images)
        step(optimizer, schedule, distillation_loss(network.train()(images), wanted, labels))
    return network


def few_valued(split: Split) -> Iterator[str]:
    """A row for each kind of weights and gradients; activations are signs."""
    for values, gradients in (("binary", 32), ("binary", 6), ("binary", 4), ("ternary", 32), ("ternary", 6), ("powers", 32)):
        network = prepare(
            trained_few_valued(split, values, gradients), split.calibration.images, training=Training(activations="ema", delay=0)
        )
        keep = FOLDER / f"digits_{values}.onnx" if gradients == 32 and values != "powers" else None
        simulated, integer, differing = compare(network, split, keep)
        bits = {"binary": "1", "ternary": "2 (-1, 0, +1)", "powers": "4 (0, +-2^k)"}[values]
        yield told((bits, "1", f"{gradients}", f"{simulated:.2%}", f"{integer:.2%}", f"{differing}"))


def trained_few_valued(split: Split, values: Any, gradients: int, epochs: int = 40) -> nn.Module:
    """The network with signs; its gradients are rounded to so many bits behind each layer."""
    torch.manual_seed(SEED)
    network = networks.digits_few_valued(values)
    if gradients < 32:
        layers = [
            (name, module)
            for part in network.named_children()
            for name, module in (part, (f"{part[0]}_gradient", RoundedGradient(gradients)))
        ]
        network = networks.named(**dict(layers))
    steps = epochs * (len(split.train) // BATCH)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for images, labels in batches(split, steps):
        step(optimizer, schedule, nn.functional.cross_entropy(network.train()(images), labels, label_smoothing=0.05))
        clip_weights(network)
    if gradients < 32:
        network = networks.named(**{name: module for name, module in network.named_children() if not name.endswith("_gradient")})
    return network.eval()


def batches(split: Split, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Randomly moved training samples."""
    generator = torch.Generator().manual_seed(SEED)
    order: list[Tensor] = []
    for _ in range(steps):
        order = order or list(torch.randperm(len(split.train), generator=generator).split(BATCH))
        batch = split.train.at(order.pop())
        yield augmented(batch.images, generator), batch.labels


def step(optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
    """One step down the loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


def compare(network: SimulatedNetwork, split: Split, keep: Path | None) -> tuple[float, float, str]:
    """Test accuracy simulated and of the integer model, and how many of its output codes differ from the simulated ones."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = keep or Path(folder) / "net.onnx", Path(folder) / "net.int8.onnx"
        export(network, source, input_names=["image"], output_names=["logits"])
        qconv.quantize(source, qconv.calibrate(source)).save(target)
        integer = run(target, split.test.images)
    with torch.no_grad():
        simulated = network.eval()(split.test.images).numpy()
    return correct(simulated, split), correct(integer, split), f"{int((simulated != integer).sum())} of {integer.size:,}"


def post_training(config: QuantConfig, split: Split) -> float:
    """Test accuracy of the float network quantized without training, with everything that recovers accuracy."""
    full = QuantConfig(weight_bits=config.weight_bits, activation_bits=config.activation_bits, per_tensor=config.per_tensor,
                       effort="full", method="auto")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "net.int8.onnx"
        qconv.quantize(FLOAT, qconv.calibrate(FLOAT, str(FOLDER / "digits_calib.npz"), config=full), config=full).save(target)
        return correct(run(target, split.test.images), split)


def run(path: Path, images: Tensor) -> np.ndarray:
    """The logits [N, 10] in onnxruntime."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images.numpy()})[0])


def correct(logits: np.ndarray, split: Split) -> float:
    """The share of the test samples whose class is named."""
    return float((logits.argmax(1) == split.test.labels.numpy()).mean())


def told(cells: tuple[str, ...]) -> str:
    """A row of a Markdown table, printed as it is made."""
    row = f"| {' | '.join(cells)} |"
    print(row, flush=True)
    return row


def record(name: str, lines: list[str]) -> None:
    """Puts a table between its two markers in README.md."""
    readme = FOLDER / "README.md"
    marked = re.compile(f"(?<=<!-- {name} -->\n).*(?=<!-- end of {name} -->)", re.DOTALL)
    text, tables = marked.subn("\n".join(lines) + "\n", readme.read_text(encoding="utf-8"))
    if tables != 1:
        raise RuntimeError(f"{readme} lacks its markers of {name}")
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
