"""`bitwright fit --recipe`: a found recipe for a sister model, written, measured and labelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cli.support import Outcome

from bitwright import formats, recipes
from bitwright.io import gguf, label
from bitwright.recipes import Recipe

Run = Callable[..., Outcome]


def found(path: Path, layers: int) -> Path:
    """A recipe of another depth than stories260K, which has 5 layers and rows of 64 and 172 columns."""
    chosen = {"token_embd.weight": "q8_0", "output.weight": "q6_k"}
    for n in range(layers):
        chosen |= {f"blk.{n}.attn_{part}.weight": "q5_0" for part in ("q", "k", "v", "output")}
        kind = "q8_0" if n < layers / 2 else "q4_0"
        chosen |= {f"blk.{n}.ffn_{part}.weight": kind for part in ("gate", "up", "down")}
    recipes.save(path, Recipe.exact({name: formats.get(format) for name, format in chosen.items()}))
    return path


def test_a_recipe_is_reused(bitwright: Run, stories260k: Path, text: Path, tmp_path: Path, cache: Path) -> None:
    recipe, out = found(tmp_path / "found.toml", 10), tmp_path / "small.gguf"
    search, held_out = tmp_path / "search.txt", tmp_path / "held_out.txt"
    search.write_text(text.read_text()[-8000:])
    held_out.write_text(text.read_text()[:16000])
    outcome = bitwright("fit", stories260k, "--recipe", recipe, "-o", out, "-f", search, "--held-out", held_out,
                        "-t", 1, "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    given = {row["tensor"]: row["format"] for row in outcome.json["recipe"]}
    assert [given[f"blk.{n}.ffn_up.weight"] for n in range(5)] == ["q8_0", "q8_0", "q8_0", "q4_0", "q4_0"]
    assert given["output.weight"] == "q8_0" and given["blk.4.ffn_down.weight"] == "float16"
    warnings = " ".join(outcome.json["warnings"])
    assert "the recipe's 10 layers are spread over 5, by relative depth" in warnings
    assert "1 tensor: 64 columns are not a multiple of 256 (q6_k): q8_0 instead" in warnings
    written = gguf.open(out)
    assert outcome.json["bytes"] == outcome.json["budget_bytes"] == written.file_bytes == out.stat().st_size
    assert label.read(written)["tensors_sha256"] == label.sha256_of_tensors(written)
