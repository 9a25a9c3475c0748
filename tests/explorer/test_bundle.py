"""The front end that the package holds was built from the sources in web/, and is small."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bitwright.explorer.bundle import STATIC

WEB = Path(__file__).parents[2] / "web"
MOST_BYTES = 600_000  # compressed


def files(folder: Path) -> list[Path]:
    """All files, folder by folder in the order of their names."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        found += files(path) if path.is_dir() else [path]
    return found


def test_the_bundle_is_that_of_the_sources() -> None:
    found = hashlib.sha256()
    for path in [*files(WEB / "src"), WEB / "build.mjs", WEB / "package-lock.json"]:
        found.update(path.relative_to(WEB).as_posix().encode() + b"\0" + path.read_bytes())
    assert (STATIC / "sources.txt").read_text().strip() == found.hexdigest(), "run `make web`"


def test_building_gives_the_same_bundle(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (WEB / "node_modules").exists():
        pytest.skip("the front end's tools are not installed (make test-tools web/node_modules)")
    for command in (["npx", "--no-install", "tsc"], ["node", "build.mjs"]):
        subprocess.run(command, cwd=WEB, check=True, env=os.environ | {"OUT": str(tmp_path)})
    built, held = ({p.relative_to(f).as_posix(): p.read_bytes() for p in files(f)} for f in (tmp_path, STATIC))
    assert built == held, "run `make web`"


def test_the_bundle_is_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in files(STATIC)) < MOST_BYTES
