"""One calibration, described as plain data: what this process, another one or a Ray task is asked to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qconv.config import QuantConfig
from qconv.data.image_options import ImageOptions
from qconv.data.source import SampleSource
from qconv.data_free.distilled import moved_if_synthetic
from qconv.errors import UsageError
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.recall import setup_of
from qconv.pipeline.samples import samples_for, synthetic
from qconv.ranges.methods import method_named
from qconv.statistics.calibration import DataSpec
from qconv.statistics.observe import Progress
from qconv.statistics.shard import Shard


@dataclass(frozen=True)
class Job:
    """What `pipeline.calibrate` needs to know; `digest` is the hash of the model that the one who asks has seen.

    `data` is None for synthetic samples, and where the samples are given as an open source. With `moments`, second moments of
    what layers read are taken as well, for which no progress is kept: a run that is killed begins anew.
    Raises UsageError for a method that there is not, and for one that cannot be cut as asked.
    """

    model: Path
    digest: str
    data: str | None = None
    method: str = "minmax"
    samples: int | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    config: QuantConfig = field(default_factory=QuantConfig)
    exact: bool = False
    threads: int = 0
    shard: Shard = field(default_factory=Shard)
    progress_file: Path | None = None
    resume: bool = False
    moments: bool = False

    def __post_init__(self) -> None:
        method_named(self.method)
        if self.averages and (self.shard.count > 1 or self.resume):
            raise UsageError("method ema depends on the order of the samples and takes them in one go; use another --method")

    @property
    def averages(self) -> bool:
        """Whether moving averages are asked for, which depend on the order of the samples."""
        return self.method == "ema"

    @property
    def data_spec(self) -> DataSpec | None:
        """How to open the same samples again, if they are a file or a folder."""
        if self.data is None or not Path(self.data).exists():
            return None
        return DataSpec(str(Path(self.data).resolve()), self.samples)

    def open_samples(self, model: PreparedModel, progress: Progress | None = None) -> SampleSource:
        """The samples that `data` names, or synthetic ones moved towards the batch norms, of which `progress` tells.

        Raises DataError, and UsageError for shards of synthetic samples.
        """
        if self.data is None and self.moments:
            raise UsageError("only real samples are worth second moments; give them with --data, or leave out --moments")
        if self.data is None and self.shard.count > 1:
            raise UsageError("only real samples are worth sharding; give them with --data")
        source = samples_for(model, self.data, images=self.images, samples=self.samples)
        if synthetic(source) is None:
            return source
        return moved_if_synthetic(source, model.with_batchnorms, model.inputs, progress)

    def identity(self, source: SampleSource, tensors: Collection[str]) -> dict[str, Any]:
        """What a run that resumes this one must have in common with it, in the words of a message."""
        spec = self.data_spec
        return {
            "model": self.digest,
            "data": [source.description, None if spec is None else spec.to_json()],
            "setup": setup_of(self.config, self.images).to_json(),
            "set of tensors": sorted(tensors),
            "--exact": self.exact,
            "--shard": str(self.shard),
        }
