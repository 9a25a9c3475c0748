"""What tests of many steps share: a small model and two of its quantizations."""

from __future__ import annotations

from pathlib import Path

import pytest

import bitwright as bw


@pytest.fixture(scope="session")
def quantized_files(stories260k: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    files = {"f32": stories260k}
    for name in ("q8_0", "q4_0"):
        files[name] = folder / f"{name}.gguf"
        bw.quantize(stories260k, name, files[name])
    return files
