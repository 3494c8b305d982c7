"""What the sample networks are trained for: to name one digit, as a picture or as a sentence, and to find several in a scene."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import detector
import numpy as np
import scenes
import torch
from detections import f1
from digits import Samples, Split, augmented
from numpy.typing import NDArray
from torch import Tensor, nn
from words import sentences

Array = NDArray[np.generic]
Step = tuple[tuple[Tensor, ...], object]  # what the network is given, and what it should give
_SMOOTHING = 0.05
_TRAINING_SCENES, _CALIBRATION_SCENES, _TEST_SCENES = 3000, 50, 150
_SCENES_IN_BATCH = 32


class Task(Protocol):
    """Samples for training, and files with those for calibration and for the test."""

    output: str
    epochs: int

    def steps(self, generator: torch.Generator) -> int:
        """How many batches there are in an epoch; called once, before the first."""

    def epoch(self, generator: torch.Generator) -> Iterator[Step]:
        """The batches of an epoch."""

    def loss(self, outputs: Tensor, wanted: object) -> Tensor:
        """What training makes small."""

    def test_inputs(self) -> dict[str, Tensor]:
        """All samples of the test, by the names of the network's inputs."""

    def score(self, outputs: Array) -> str:
        """How good the outputs for the test samples are, as a cell of the table."""

    def save(self, folder: Path) -> None:
        """Writes the samples for calibration and for the test."""


class Pictures:
    """One digit as a picture: `image` float32 [N, 1, 16, 16]; the logits of its classes."""

    output, batch = "logits", 50

    def __init__(self, split: Split, epochs: int = 60) -> None:
        self.split, self.epochs = split, epochs

    def inputs(self, images: Tensor) -> dict[str, Tensor]:
        return {"image": images}

    def steps(self, _generator: torch.Generator) -> int:
        return len(self.split.train) // self.batch

    def epoch(self, generator: torch.Generator) -> Iterator[Step]:
        for indices in torch.randperm(len(self.split.train), generator=generator).split(self.batch):
            batch = self.split.train.at(indices)
            yield tuple(self.inputs(augmented(batch.images, generator)).values()), batch.labels

    def loss(self, outputs: Tensor, wanted: object) -> Tensor:
        assert isinstance(wanted, Tensor)
        return nn.functional.cross_entropy(outputs, wanted, label_smoothing=_SMOOTHING)

    def test_inputs(self) -> dict[str, Tensor]:
        return self.inputs(self.split.test.images)

    def score(self, outputs: Array) -> str:
        correct, tested = int((outputs.argmax(1) == self.split.test.labels.numpy()).sum()), len(outputs)
        return f"{correct / tested:.2%} ({correct} of {tested})"

    def save(self, folder: Path) -> None:
        _save(folder / "digits_calib.npz", self.inputs(self.split.calibration.images))
        _save(folder / "digits_test.npz", {**self.test_inputs(), "labels": self.split.test.labels})


class Sentences(Pictures):
    """One digit as a sentence: `input_ids` and `attention_mask`, int64 [N, 48]."""

    def inputs(self, images: Tensor) -> dict[str, Tensor]:
        found = sentences(images)
        return {"input_ids": found.input_ids, "attention_mask": found.attention_mask}

    def save(self, folder: Path) -> None:
        _save(folder / "digits_words_calib.npz", self.inputs(self.split.calibration.images))
        _save(folder / "digits_words_test.npz", {**self.test_inputs(), "labels": self.split.test.labels})


class Finding:
    """Several digits in a scene: `image` float32 [N, 1, 48, 48]; boxes and probabilities."""

    output = "detections"

    def __init__(self, split: Split, seed: int, epochs: int) -> None:
        self.split, self.epochs = split, epochs
        generator = torch.Generator().manual_seed(seed)
        self.calibration = scenes.compose(split.calibration, _CALIBRATION_SCENES, generator)
        self.test = scenes.compose(split.test, _TEST_SCENES, generator)

    def steps(self, generator: torch.Generator) -> int:
        twice = Samples(self.split.train.images.repeat(2, 1, 1, 1), self.split.train.labels.repeat(2))
        self.train = scenes.compose(Samples(augmented(twice.images, generator), twice.labels), _TRAINING_SCENES, generator)
        return -(-_TRAINING_SCENES // _SCENES_IN_BATCH)

    def epoch(self, generator: torch.Generator) -> Iterator[Step]:
        for indices in torch.randperm(_TRAINING_SCENES, generator=generator).split(_SCENES_IN_BATCH):
            yield (self.train.images[indices],), self.train.at(indices)

    def loss(self, outputs: Tensor, wanted: object) -> Tensor:
        assert isinstance(wanted, scenes.Scenes)
        return detector.loss(outputs, wanted)

    def test_inputs(self) -> dict[str, Tensor]:
        return {"image": self.test.images}

    def score(self, outputs: Array) -> str:
        return f"F1 {f1(outputs, self.test.boxes.numpy(), self.test.labels.numpy()):.4f} of {len(outputs)} scenes"

    def save(self, folder: Path) -> None:
        _save(folder / "digits_scenes_calib.npz", {"image": self.calibration.images})
        _save(
            folder / "digits_scenes_test.npz", {"image": self.test.images, "boxes": self.test.boxes, "digits": self.test.labels}
        )


def _save(path: Path, arrays: dict[str, Tensor]) -> None:
    np.savez_compressed(path, **{name: tensor.numpy() for name, tensor in arrays.items()})
