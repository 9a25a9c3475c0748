"""The text that benchmarks measure on: WikiText-2's validation split, which tests/data holds compressed."""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

from platformdirs import user_cache_path

SOURCE = Path(__file__).resolve().parents[1] / "tests/data/text/wikitext-2/valid.txt.xz"


def wikitext() -> Path:
    """The text as a file in the cache, written the first time."""
    target = user_cache_path("bitwright", ensure_exists=True) / "wikitext-2-valid.txt"
    text = lzma.decompress(SOURCE.read_bytes())
    if not target.exists() or target.read_bytes() != text:
        target.write_bytes(text)
    return target


def add_text_option(parser: argparse.ArgumentParser, *flags: str) -> None:
    """An option for another text; this one is unpacked only if none is given."""
    parser.add_argument(
        *flags, type=lambda path: Path(path) if path else wikitext(), default="", help="default: WikiText-2, validation"
    )
