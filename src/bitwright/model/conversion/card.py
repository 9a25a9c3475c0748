"""Facts about a checkpoint that do not change what it computes: the model card, and how to sample.

Keys: llama.cpp's gguf-py/gguf/metadata.py. What that guesses from the folder's name (version, size, finetune), is left
out: https://github.com/ggml-org/llama.cpp
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bitwright.errors import FileFormatError
from bitwright.io import inputs, json_text
from bitwright.io.gguf import Typed
from bitwright.io.values import Values, without_nulls

CARD, GENERATION = "README.md", "generation_config.json"
LARGEST = 1 << 24  # bytes of a card
HUB = "https://huggingface.co/"
SAMPLING = {  # general.sampling: names in generation_config.json, type
    "sequence": (("sequence",), "string"),
    "top_k": (("top_k",), "int32"),
    "top_p": (("top_p",), "float32"),
    "min_p": (("min_p",), "float32"),
    "xtc_probability": (("xtc_probability",), "float32"),
    "xtc_threshold": (("xtc_threshold",), "float32"),
    "temp": (("temperature",), "float32"),
    "penalty_last_n": (("penalty_last_n",), "int32"),
    "penalty_repeat": (("penalty_repeat", "repetition_penalty"), "float32"),
    "mirostat": (("mirostat",), "int32"),
    "mirostat_tau": (("mirostat_tau",), "float32"),
    "mirostat_eta": (("mirostat_eta",), "float32"),
}
TEXTS = {"license": "license", "license.name": "license_name", "license.link": "license_link"}
LISTS = {"tags": ("tags", "pipeline_tag"), "languages": ("language",)}
SOURCES = {"base_model": "base_model", "dataset": "datasets"}


def metadata(folder: Path, named: Path) -> tuple[dict[str, Any], list[Path]]:
    """What is known of the model in a folder, by GGUF's keys, and the files that say so. It has the name of the folder
    `named`."""
    card, generation = folder / CARD, folder / GENERATION
    found: dict[str, Any] = {"type": "model", "name": title(name_of(named))}
    if card.is_file():
        found |= _of_card(Values(without_nulls(_front_matter(card)), card))
    if generation.is_file():
        found |= _sampling(Values(without_nulls(json_text.read(generation)), generation))
    keys = {f"general.{key}": value for key, value in found.items()}
    return keys, [path for path in (card, generation) if path.is_file()]


def name_of(folder: Path) -> str:
    """The model's name: the folder's, or the repository's of a folder in the hub's cache."""
    path = folder.absolute()
    repository = path.parents[1].name if path.parent.name == "snapshots" else ""
    return repository.split("--")[-1] if repository.startswith("models--") else path.name


def title(name: str) -> str:
    """A name as people write it: qwen3-0.6b-base is Qwen3 0.6b Base."""
    words = name.replace("-", " ").split()
    return " ".join(w.title() if w.islower() and not re.match(r"v?\d", w) else w for w in words)


def _of_card(card: Values) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in TEXTS.items():
        if texts := _texts(card, name):
            found[key] = ",".join(texts)
    for key, names in LISTS.items():
        if texts := [text for name in names for text in _texts(card, name)]:
            found[key] = Typed(texts, "array[string]")
    for key, name in SOURCES.items():
        if sources := _texts(card, name):
            found[f"{key}.count"] = Typed(len(sources), "uint32")
        for index, source in enumerate(sources):
            found |= {f"{key}.{index}.{fact}": text for fact, text in _source(source).items()}
    return found


def _source(reference: str) -> Mapping[str, str]:
    """What the name or the address of a repository says."""
    address = reference if "://" in reference else HUB + reference
    match = re.fullmatch(r"([^/\s]+)/([^/\s]+)", address.removeprefix(HUB))
    if match is None:
        return {"repo_url": address}
    return {"name": title(match[2]), "organization": title(match[1]), "repo_url": address}


def _texts(card: Values, name: str) -> list[str]:
    """One text or several, of which YAML takes some for numbers, and Norwegian for false."""
    value = card.get(name) if card.has(name) else []
    listed = value if isinstance(value, list) else [value]
    return ["no" if text is False else str(text) for text in listed if isinstance(text, str | int | float)]


def _sampling(generation: Values) -> dict[str, Typed]:
    found = {}
    for key, (names, kind) in SAMPLING.items():
        name = next(filter(generation.has, names), None)
        if name is not None:
            reads: dict[str, Callable[[str], Any]] = {"int32": generation.integer, "string": generation.text}
            value = reads.get(kind, generation.optional)(name)
            found[f"sampling.{key}"] = Typed(0.0 if value is None else value, kind)
    return found


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML between the first lines of three dashes. FileFormatError if it is none."""
    import yaml

    with inputs.opened(path) as file:
        text = file.read(LARGEST).decode("utf-8", "replace")
    match = re.match(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if match is None:
        return {}
    try:
        found = yaml.safe_load(match[1].replace("\t", "  "))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileFormatError(path, None, "YAML between lines of three dashes", str(error).split("\n")[0]) from None
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
