"""A Ray cluster gives the file of one run, also when one of its workers is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import pytest

from qconv.cli.main import run
from tests.engines.deadly import arguments, deadly_folder, kill_one_of

# It ends when its standard input does, also when the tests are killed, and takes neither a fixed port nor /dev/shm.
CLUSTER = """
import os, sys, threading

def give_up(*reason):
    print("none", *reason, flush=True)
    os._exit(0)

hanging = threading.Timer(90, give_up, ["it hangs"])
hanging.daemon = True
hanging.start()
import ray
try:
    started = ray.init(
        num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False,
        logging_level="error", _node_ip_address="127.0.0.1", _plasma_directory=sys.argv[1], _temp_dir=sys.argv[1],
    )
except (OSError, RuntimeError, TimeoutError, ray.exceptions.RayError) as error:
    give_up(type(error).__name__, *str(error).split())
hanging.cancel()
print("address", started.address_info["address"], flush=True)
sys.stdin.read()
"""
ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system, this keeps to the loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # workers must not die of what else runs on the machine
}


@pytest.fixture
def folder(tmp_path: Path, sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and its samples, and the working directory."""
    monkeypatch.chdir(tmp_path)
    return deadly_folder(tmp_path, sample_models)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of this machine, with a token of its own, which ends with the test."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    for name, value in (ENVIRONMENT | {"RAY_AUTH_TOKEN": token_hex(32)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as place:  # a short name, as sockets need
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, place],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield address_of(process)
        finally:
            stop(process)


def address_of(process: subprocess.Popen[str]) -> str:
    """Once it has started; skips the test where Ray cannot."""
    assert process.stdout is not None
    for line in process.stdout:
        outcome, _, detail = line.strip().partition(" ")
        if outcome == "address":
            return detail
        if outcome == "none":
            pytest.skip(f"Ray does not start on this machine: {detail}")
    raise AssertionError("the program that starts Ray has failed, see standard error")


def stop(process: subprocess.Popen[str]) -> None:
    """The end of its input, or force."""
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ray_gives_the_file_of_one_run_though_a_worker_is_killed(folder: Path, cluster: str) -> None:
    assert run(arguments(["--moments"], "one.json")) == 0
    kill_one_of(folder, ["--moments", "--engine", "ray", "--address", cluster, "--workers", "4"], workers=4)
    for ending in (".json", ".moments.npz"):
        assert (folder / f"all{ending}").read_bytes() == (folder / f"one{ending}").read_bytes()


def test_ray_is_an_extra(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--engine", "ray"]) == 2
    assert "pip install qconv[ray]" in capsys.readouterr().err
