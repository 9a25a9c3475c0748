"""The page of a published model: what `push` writes into README.md, a section for each file."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from bitwright.views.card import damage

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.io.label import Label

HUB = "https://huggingface.co/"
BEGIN, END = "<!-- bitwright: {} -->", "<!-- /bitwright -->"


class Published(NamedTuple):
    """A model file: its name in the repository, its SHA-256 (of each part, by name), and its label, if it has one."""

    name: str
    file: GGUF
    hashes: dict[str, str]
    label: Label | None


def model_page(repo: str, before: str | None, published: Iterable[Published]) -> str:
    """The text of README.md: `before` with the sections of these files renewed or added, or a new page."""
    published = list(published)
    text = before if before is not None else _new(repo, published[0].file)
    for one in published:
        section = _section(one)
        old = re.compile(re.escape(BEGIN.format(one.name)) + r".*?" + re.escape(END), re.DOTALL)
        if old.search(text):
            text = old.sub(section.replace("\\", r"\\"), text, count=1)
        else:
            text = f"{text.rstrip()}\n\n{section}\n"
    return text


def _new(repo: str, file: GGUF) -> str:
    """A page without files: what the hub sorts models by, from the file's own facts, and how to run the model."""
    facts = file.metadata
    count = facts.get("general.base_model.count", 0)
    bases = [facts.get(f"general.base_model.{n}.repo_url") for n in range(count if isinstance(count, int) else 0)]
    keys: dict[str, Any] = {
        "base_model": [url.removeprefix(HUB) for url in bases if isinstance(url, str) and url.startswith(HUB)],
        "base_model_relation": "quantized",
        "license": facts.get("general.license"),
        "language": _texts(facts.get("general.languages")),
        "pipeline_tag": "text-generation",
        "tags": [*dict.fromkeys([*_texts(facts.get("general.tags")), "gguf", "bitwright"])],
    }
    if not keys["base_model"]:
        del keys["base_model_relation"]
    front = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if value]  # JSON is YAML
    name = repo.rpartition("/")[2]
    lines = [
        *("---", *front, "---", ""),
        *(f"# {name}", ""),
        "Files for llama.cpp and programs built on it, made by [bitwright](https://pypi.org/project/bitwright). Below",
        "each: what it holds, and what quantizing cost where that was measured.",
        *("", "```", f'bitwright run {repo} "Hello"', f"llama-server -hf {repo}", f"ollama run hf.co/{repo}", "```"),
    ]
    return "\n".join(lines) + "\n"


def _section(one: Published) -> str:
    tensors = one.file.tensors.values()
    sizes, counts = Counter[str](), Counter[str]()
    weights = 0
    for tensor in tensors:
        sizes[tensor.format.name] += tensor.nbytes
        counts[tensor.format.name] += 1
        weights += math.prod(tensor.shape)
    lines = [
        BEGIN.format(one.name),
        f"## {one.name}",
        "",
        f"{one.file.file_bytes:,} bytes, {8 * sum(sizes.values()) / max(1, weights):.2f} bits per weight.",
        "",
        *("| format | tensors | bytes |", "| --- | ---: | ---: |"),
        *(f"| {name} | {counts[name]} | {size:,} |" for name, size in sizes.most_common()),
        "",
        *(f"SHA-256 of `{name}`: `{hash}`  " for name, hash in one.hashes.items()),
        "",
        *(damage(one.label, "the original", one.name) if one.label else ["What was lost was not measured."]),
        END,
    ]
    return "\n".join(lines)


def _texts(values: Any) -> list[str]:
    """The texts of an array of a file's metadata."""
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []
