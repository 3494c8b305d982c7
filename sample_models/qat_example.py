"""Quantization-aware training of the sample MobileNet at 4 bits: the loop is your own.

Usage: python sample_models/qat_example.py; then qconv quantize build/digits_mobilenet_qat4.onnx
"""

from pathlib import Path

import torch
from digits import augmented, load_split
from networks import digits_mobilenet, with_weights_of

from qconv import QuantConfig
from qconv.train import Training, distillation_loss, export, prepare

FOLDER = Path(__file__).parent
torch.manual_seed(0)
split, generator = load_split(2024), torch.Generator().manual_seed(0)
teacher = with_weights_of(digits_mobilenet(), FOLDER / "digits_mobilenet.onnx").eval()
steps = 10 * 26
network = prepare(teacher, split.train.images[:2], QuantConfig(weight_bits=4, activation_bits=4), Training(freeze=steps * 2 // 3))
optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
for _ in range(steps):
    network.train()
    batch = split.train.at(torch.randint(len(split.train), (50,), generator=generator))
    images = augmented(batch.images, generator)
    loss = distillation_loss(network(images), teacher(images), batch.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
path = FOLDER.parent / "build" / "digits_mobilenet_qat4.onnx"
path.parent.mkdir(exist_ok=True)
export(network, path, input_names=["image"], output_names=["logits"])
correct = (network.eval()(split.test.images).argmax(1) == split.test.labels).sum()
print(f"{path}: {correct} of {len(split.test)} test samples")
