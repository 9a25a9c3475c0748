"""`bitwright serve --draft`: models that cannot guess for the one that is served are refused before it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cli.support import Outcome


def test_a_draft_of_another_vocabulary(bitwright: Callable[..., Outcome], stories260k: Path, smollm2: Path) -> None:
    found = bitwright("serve", stories260k, "--port", 0, "--draft", smollm2)
    assert found.code == 2 and f"--draft {smollm2} has another vocabulary: its token" in " ".join(found.err.split())


def test_a_draft_of_shorter_texts(bitwright: Callable[..., Outcome], stories260k: Path, tmp_path: Path) -> None:
    key, value = b"llama.context_length", (512).to_bytes(4, "little")
    data = stories260k.read_bytes()
    at = data.index(key) + len(key) + 4
    short = tmp_path / "short.gguf"
    short.write_bytes(data[:at] + (64).to_bytes(4, "little") + data[at + 4 :])
    assert data[at : at + 4] == value
    found = bitwright("serve", stories260k, "--port", 0, "--ctx", 128, "--draft", short)
    assert found.code == 2 and "64 tokens of context, fewer than the 128 that are served: choose --ctx 64" in found.err
