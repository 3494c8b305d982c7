"""What an integer model was made with, so that the run can be repeated: settings as plain data, and the calibration's digest."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir

from qconv.config import GivenFile, QuantConfig, Rule
from qconv.errors import ArtifactError, UsageError
from qconv.integer.metadata import read_origin
from qconv.model.near_paths import path_hint
from qconv.model.text_files import read_regular
from qconv.statistics.calibration import Calibration
from qconv.statistics.setup import Setup

_FLAGS = {"percent": "percentile"}  # names of fields that are not those of their flags
_RULE_FLAGS = {"keep_float": "float"}
_DIGEST = "-sha256"  # behind the flag of a file


def settings_to_json(config: QuantConfig) -> dict[str, Any]:
    """What a config says otherwise than by default, by the names of the flags; of files their paths and digests."""
    names = [field.name for field in dataclasses.fields(config) if field.name not in ("pins", "pixels", "rules", "files")]
    plain = QuantConfig()
    asked = [name for name in names if getattr(config, name) != getattr(plain, name)]
    found = {_flag(name, _FLAGS): _plain(getattr(config, name)) for name in asked}
    if config.pixels is not None:
        found |= config.pixels.to_settings()
    for file in config.files:
        found |= {file.flag: file.path, f"{file.flag}{_DIGEST}": file.sha256}
    if config.rules:
        found["rule"] = [_rule(rule) for rule in config.rules]
    return found


def _rule(rule: Rule) -> dict[str, Any]:
    given = ((name, value) for name, value in dataclasses.asdict(rule).items() if value not in (None, False))
    return {_flag(name, _RULE_FLAGS): _plain(value) for name, value in given}


def flags_of(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Rule, ...]]:
    """The inverse of `settings_to_json`: values by flag, and rules. Raises ArtifactError for other data."""
    flags = {key: value for key, value in settings.items() if key != "rule" and not key.endswith(_DIGEST)}
    names = {flag: name for name, flag in _RULE_FLAGS.items()}
    try:
        rules = [
            {names.get(key, key.replace("-", "_")): value for key, value in rule.items()} for rule in settings.get("rule", [])
        ]
        return flags, tuple(Rule(**rule) for rule in rules)
    except (AttributeError, TypeError) as error:
        raise ArtifactError(f"the model's settings are damaged ({error}); make the model again") from None


def given_file(flag: str, path: str | Path) -> GivenFile:
    """The record of a file that a flag names. Raises UsageError where it cannot be read."""
    try:
        return GivenFile(flag, str(path), hashlib.sha256(read_regular(path)).hexdigest())
    except OSError as error:
        raise UsageError(f"--{flag} {path} cannot be read ({error.strerror or error}); {path_hint(path)}") from None


def changed_files(settings: Mapping[str, Any], config: QuantConfig) -> list[str]:
    """The flags of files that are not those that a model with these settings was made with."""
    digests = {key: settings[key] for key in settings if key.endswith(_DIGEST)}
    now = {f"{file.flag}{_DIGEST}": file.sha256 for file in config.files}
    return [key.removesuffix(_DIGEST) for key in digests if now.get(key) != digests[key]]


def pins_of(model: ir.Model) -> dict[str, float]:
    """The inputs and sizes that an integer model was made with as constants. Raises ArtifactError."""
    settings = read_origin(model).settings or {}
    try:
        return QuantConfig(pin=settings.get("pin", ())).fixed
    except (TypeError, UsageError) as error:
        raise ArtifactError(f"the model's settings are damaged ({error}); make the model again") from None


def calibration_digest(calibration: Calibration) -> str:
    """The SHA-256, in hex, of a calibration's file without the place and the form of its samples, of which the numbers tell."""
    return hashlib.sha256(dataclasses.replace(calibration, data=None, setup=Setup()).dumps().encode()).hexdigest()


def _flag(name: str, others: Mapping[str, str]) -> str:
    return others.get(name, name.replace("_", "-"))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
