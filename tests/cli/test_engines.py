"""Several workers give the file of one run, also when one of them is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

import pytest

from qconv.cli.main import run

DEADLY_SOURCE = """
import os, signal
from pathlib import Path
import numpy as np

HERE = Path(__file__).parent

def samples():
    pictures = next(array for name, array in np.load(HERE / "d.npz").items() if name != "labels")
    for index, picture in enumerate(pictures):
        if index == 60 and (HERE / "deadly").exists():
            (HERE / "deadly").rename(HERE / f"killed-{os.getpid()}")  # succeeds in one process only
            os.kill(os.getpid(), signal.SIGKILL)
        yield picture[None]
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    """Also with a source of samples of its own."""
    (folder / "deadly.py").write_text(DEADLY_SOURCE)
    return folder


def test_workers_give_the_file_of_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "50", "-o", "one.json"]) == 0
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "50", "--workers", "3"]) == 0
    assert capsys.readouterr().err == ""
    assert (folder / "m.calib.json").read_bytes() == (folder / "one.json").read_bytes()
    assert not list(folder.glob("*.partial*"))


def arguments(engine: list[str], output: str) -> list[str]:
    return ["calibrate", "m.onnx", "--data", f"{Path('deadly.py').resolve()}:samples", *engine, "-o", output]


def test_the_progress_of_workers_is_used_again(folder: Path) -> None:
    command = ["calibrate", "m.onnx", "--data", "d.npz", "--workers", "2"]
    (folder / "m.calib.json.partial.2of2").write_text("damaged")
    assert run([*command, "--resume"]) == 5
    assert run(command) == 0
    assert not list(folder.glob("*.partial*"))


def test_a_worker_that_is_killed_is_replaced(folder: Path) -> None:
    assert run(arguments([], "one.json")) == 0
    kill_one_of(folder, ["--workers", "2"])
    assert (folder / "all.json").read_bytes() == (folder / "one.json").read_bytes()


def kill_one_of(folder: Path, engine: list[str]) -> None:
    (folder / "deadly").touch()
    # The command checks samples too, but must not be the one that dies: it stops before the deadly one.
    (folder / "program.py").write_text(
        "import sys\nfrom qconv.cli import main\nfrom qconv.engines import spread\n\n"
        f"if __name__ == '__main__':\n    spread.CHECKED = 20\n    sys.exit(main.run({arguments(engine, 'all.json')}))\n"
    )
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("killed-*"))) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--shard", "1/2", "--workers", "2"], "--shard is one part"),
        (["--address", "auto"], "add --engine ray"),
        (["--engine", "ray", "--resume"], "--resume serves --engine local"),
        (["--workers", "2", "--method", "ema"], "order of the samples"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, capfd: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", *options]) == 2
    assert sentence in capfd.readouterr().err


def test_a_mistake_of_a_worker_is_one_sentence(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--workers", "2"]) == 2
    error = capfd.readouterr().err
    assert "only real samples are worth sharding" in error and "Traceback" not in error


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_is_an_extra(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--engine", "ray"]) == 2
    assert "pip install qconv[ray]" in capsys.readouterr().err


CLUSTER = """
import ray, sys
started = ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1")
print("address", started.address_info["address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of this machine, with a token of its own, which ends with the test."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", token_hex(32))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with subprocess.Popen([sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(line.split()[1] for line in process.stdout if line.startswith("address "))


def test_ray_gives_the_file_of_one_run_though_a_worker_is_killed(folder: Path, cluster: str) -> None:
    assert run(arguments([], "one.json")) == 0
    kill_one_of(folder, ["--engine", "ray", "--address", cluster, "--workers", "4"])
    assert (folder / "all.json").read_bytes() == (folder / "one.json").read_bytes()
