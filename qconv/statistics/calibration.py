"""The calibration file: what a pass over the data found, readable, with the hash of the model it belongs to."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qconv.arguments import checks_arguments
from qconv.errors import ArtifactError
from qconv.model.near_paths import unreadable
from qconv.model.save import write_stream, write_text
from qconv.model.text_files import parse_json, read_text
from qconv.sentences import counted
from qconv.statistics.constant_tensors import constant_tensors
from qconv.statistics.moments_file import StoredMoments, Table, digest_of, moments_beside, write_moments
from qconv.statistics.setup import Setup
from qconv.statistics.shard import Coverage
from qconv.statistics.summary import Range, Summary

FORMAT = "qconv-calibration-3"
CALIBRATION_SUFFIX = ".calib.json"  # of MODEL.onnx's calibration beside it
_AGAIN = "run `qconv calibrate` again"


@dataclass(frozen=True)
class DataSpec:
    """How to open the samples again: a file or a folder, and how many samples are taken."""

    path: str
    samples: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as plain data."""
        return {"path": self.path, **({"samples": self.samples} if self.samples else {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataSpec:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        samples = data.get("samples")
        if not isinstance(data["path"], str) or not (samples is None or type(samples) is int):
            raise TypeError("data has a path and a count")
        return cls(data["path"], samples)


@dataclass(frozen=True)
class Calibration:
    """Summaries by tensor, and where they come from. `warning` says what a user must know before trusting them.

    `method` is the one that chooses the ranges unless another is asked for; every method reads the same summaries.

    `data` tells how to open the same samples again; None for synthetic ones and for a Python function, which a file that
    comes from elsewhere must not be able to call.

    `derived` are ranges that hold whatever the method: those of a model without real samples (qconv/data_free/ranges.py).

    `shards` tells which shards were seen, where some are missing. `setup` is what later stages use, too.

    `moments` are the second moments of what the layers read, where they were taken; they have a file of their own, of whose
    contents `moments_sha256` is the digest. None with a digest says that the file is gone.
    """

    model_sha256: str
    method: str
    samples: int
    source: str
    warning: str | None
    tensors: Mapping[str, Summary]
    data: DataSpec | None = None
    derived: Mapping[str, Range] = field(default_factory=dict)
    shards: Coverage | None = None
    setup: Setup = field(default_factory=Setup)
    moments: Table | None = None
    moments_sha256: str | None = None

    def __repr__(self) -> str:
        return f"<Calibration of {self.coverage}>"

    @property
    def coverage(self) -> str:
        """How many tensors it tells of, from which samples, and by which method."""
        over = f"{counted(len(self.tensors), 'tensor')} over {counted(self.samples, 'sample')}"
        return f"{over} of {self.source}, {self.method}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that a user must know, also of missing shards."""
        missing = () if self.shards is None else (self.shards.warning,)
        return (*missing, *(() if self.warning is None else (self.warning,)))

    @property
    def still(self) -> list[str]:
        """A sentence on the tensors that never moved; none where shards are missing, in which they may."""
        extremes = {name: (summary.lo, summary.hi) for name, summary in self.tensors.items()}
        return [] if self.shards is not None else constant_tensors(extremes)

    def check_model(self, digest: str) -> None:
        """Raises ArtifactError unless `digest` is the hash of the model that was calibrated."""
        if digest != self.model_sha256:
            raise ArtifactError(
                f"the calibration belongs to another model (sha256 {self.model_sha256[:12]}, this one is {digest[:12]}); "
                f"{_AGAIN} for this model"
            )

    def origin(self) -> dict[str, Any]:
        """What the integer model records about its calibration."""
        warning = "; ".join(self.warnings) or None
        return {"method": self.method, "samples": self.samples, "source": self.source, "warning": warning}

    def dumps(self) -> str:
        """The text of the file: sorted, a line per tensor; equal calibrations give equal bytes."""
        data = None if self.data is None else self.data.to_json()
        head = {"format": FORMAT, "model_sha256": self.model_sha256, **self.origin(), "warning": self.warning, "data": data}
        if setup := self.setup.to_json():
            head["setup"] = setup
        if self.shards is not None:
            head["shards"] = self.shards.to_json()
        if self.digest_of_moments is not None:
            head["moments"] = self.digest_of_moments
        if self.derived:
            head["derived"] = {name: list(self.derived[name]) for name in sorted(self.derived)}
        lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
        rows = [
            f"    {json.dumps(name, ensure_ascii=False)}: {json.dumps(self.tensors[name].to_json())}"
            for name in sorted(self.tensors)
        ]
        table = "{\n" + ",\n".join(rows) + "\n  }" if rows else "{}"
        return "{\n" + ",\n".join([*lines, f'  "tensors": {table}']) + "\n}\n"

    @property
    def digest_of_moments(self) -> str | None:
        """The digest of the second moments that belong to it, None where none were taken."""
        return self.moments_sha256 if self.moments is None else digest_of(self.moments)

    @checks_arguments
    def save(self, path: str | Path) -> None:
        """Writes the file, and second moments beside it. Raises OutputError."""
        if self.moments is not None:
            table = self.moments
            write_stream(moments_beside(Path(path)), lambda stream: write_moments(table, stream))
        write_text(Path(path), self.dumps())

    @classmethod
    def loads(cls, text: str, where: str) -> Calibration:
        """The inverse of `dumps`. Raises ArtifactError for anything else, naming `where` it was read."""
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ArtifactError(f"the calibration {where} is not valid JSON ({error}); {_AGAIN}") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            if not str(found).startswith("qconv-calibration-"):
                raise ArtifactError(f"{where} is not a calibration (its format is {found!r}); give what `qconv calibrate` writes")
            raise ArtifactError(f"{where} is not a calibration of this version ({found!r}, expected {FORMAT!r}); {_AGAIN}")
        try:
            return _from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"the calibration {where} is damaged ({type(error).__name__}: {error}); {_AGAIN}") from None

    @classmethod
    @checks_arguments
    def load(cls, path: str | Path) -> Calibration:
        """Reads a file. Raises ArtifactError where it cannot be read, is damaged, or is of another version."""
        try:
            text = read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            if Path(path).is_dir() or (isinstance(error, UnicodeDecodeError) and zipfile.is_zipfile(path)):
                text = f"{path} holds samples and is no calibration; give it as data, or what `qconv calibrate` writes"
                raise ArtifactError(text) from None
            raise ArtifactError(unreadable("calibration", path, error, _AGAIN)) from None
        found, moments = cls.loads(text, str(path)), moments_beside(Path(path))
        if found.moments_sha256 is None or not moments.exists():
            return found
        table = StoredMoments(moments, str(moments))
        if digest_of(table) != found.moments_sha256:
            raise ArtifactError(f"{moments} belongs to another calibration than {path}; run `qconv calibrate --moments` again")
        return replace(found, moments=table)


def _from_json(data: Mapping[str, Any]) -> Calibration:
    samples, warning = data["samples"], data["warning"]
    if type(samples) is not int or samples < 0:
        raise ValueError(f"samples is {samples!r}")
    if not (warning is None or isinstance(warning, str)):
        raise TypeError("warning is not text")
    texts = [data[key] for key in ("model_sha256", "method", "source")]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("model_sha256, method and source are texts")
    digest, method, source = texts
    tensors = {name: Summary.from_json(entry) for name, entry in data["tensors"].items()}
    spec = None if data.get("data") is None else DataSpec.from_json(data["data"])
    derived = {name: _range(pair) for name, pair in data.get("derived", {}).items()}
    shards = Coverage.from_json(data["shards"]) if "shards" in data else None
    setup = Setup.from_json(data.get("setup") or {"images": (data.get("data") or {}).get("images", {})})  # where they stood once
    moments = data.get("moments")
    if not (moments is None or isinstance(moments, str)):
        raise TypeError("moments is not the digest of a file")
    return Calibration(digest, method, samples, source, warning, tensors, spec, derived, shards, setup, None, moments)


def _range(pair: Any) -> Range:
    lo, hi = map(float, pair)
    if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
        raise ValueError(f"{pair} is not a range")
    return lo, hi
