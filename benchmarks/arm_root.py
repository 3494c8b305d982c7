"""An arm64 system with Python, numpy and onnxruntime, in one folder: python -m benchmarks.arm_root FOLDER

Downloads packages of Debian with apt-get, in a state of their own, and wheels with pip; nothing is installed. The host is a
Debian whose release has this Python. benchmarks/other_cpus.py runs it under qemu-aarch64.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

_RELEASE = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON, SITE = f"usr/bin/python{_RELEASE}", "site"  # in the folder
_PACKAGES = [f"python{_RELEASE}", f"python{_RELEASE}-minimal", "libstdc++6"]
_WHEELS = ("onnxruntime", "numpy", "flatbuffers", "packaging")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64", "any")
# onnxruntime asks the kernel what the processor is, and would read of the host's.
_CPUINFO = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""


def main(root: Path) -> None:
    """Makes the folder."""
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(_CPUINFO)
    _debian(root)
    _wheels(root)


def _debian(root: Path) -> None:
    state = root.resolve() / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    options = ["APT::Architecture=arm64", "APT::Architectures=arm64", f"Dir::State={state}", f"Dir::State::status={state}/status"]
    options += [f"Dir::State::lists={state}/lists", f"Dir::Cache={state}", f"Dir::Cache::archives={state}/archives"]
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *_PACKAGES], check=True)
    for package in sorted((state / "archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)


def _wheels(root: Path) -> None:
    folder = root / "wheels"
    pins = [f"{name}=={version(name)}" for name in _WHEELS]
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *platforms]
    subprocess.run([*command, "--python-version", _RELEASE, *pins], check=True)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / SITE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
