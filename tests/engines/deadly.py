"""A run of the command line in which one worker is killed amid its samples."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

DEADLY_SOURCE = """
import os, signal, time
from contextlib import suppress
from pathlib import Path
import numpy as np

HERE = Path(__file__).parent

def samples():
    diary = HERE / f"pass-{os.getpid()}-{time.monotonic_ns()}"  # of this pass over the samples
    pictures = next(array for name, array in np.load(HERE / "d.npz").items() if name != "labels")
    pictures = np.concatenate([pictures * np.float32(size) for size in (1.0, 0.9, 0.8, 0.7, 0.6)])
    for index, picture in enumerate(pictures):
        if index == 200 and (HERE / "deadly").exists():
            time.sleep(float((HERE / "deadly").read_text()))
        if index == 400 and (HERE / "deadly").exists():
            time.sleep(0.5)  # by now the network has run on the samples that were given away
            with suppress(FileNotFoundError):
                (HERE / "deadly").unlink()  # succeeds in one process only
                diary.write_text(f"killed after {sorted(path.name for path in HERE.glob('*.partial*'))}")
                os.kill(os.getpid(), signal.SIGKILL)
        yield picture[None]
    diary.write_text("ended")
"""


def deadly_folder(place: Path, sample_models: Path) -> Path:
    """With a model, m.onnx, its samples, d.npz, and the function that kills."""
    shutil.copy(sample_models / "digits_mobilenet.onnx", place / "m.onnx")
    shutil.copy(sample_models / "digits_calib.npz", place / "d.npz")
    (place / "deadly.py").write_text(DEADLY_SOURCE)
    return place


def arguments(engine: list[str], output: str) -> list[str]:
    """Of the command, in the folder; `engine` are options on who does the work, and on what else is collected."""
    return ["calibrate", "m.onnx", "--data", f"{Path('deadly.py').resolve()}:samples", *engine, "-o", output]


def kill_one_of(folder: Path, engine: list[str], workers: int, wait: float = 0.0) -> str:
    """Runs the command while one worker is killed amid its samples, after `wait` seconds; what was on disk then."""
    for diary in folder.glob("pass-*"):
        diary.unlink()
    (folder / "deadly").write_text(str(wait))
    # The command checks samples too, but must not be the one that dies: it stops before the deadly one.
    (folder / "program.py").write_text(
        "import sys\nfrom qconv.cli import main\nfrom qconv.engines import spread\n\n"
        f"if __name__ == '__main__':\n    spread.CHECKED = 20\n    sys.exit(main.run({arguments(engine, 'all.json')}))\n"
    )
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    words = [diary.read_text() for diary in folder.glob("pass-*")]
    (killed,) = (text for text in words if text.startswith("killed"))
    assert words.count("ended") == workers  # that of the killed one was run again
    return killed
