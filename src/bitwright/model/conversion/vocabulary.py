"""The tokenizer of a checkpoint as GGUF metadata, read as llama.cpp will read it.

Keys and types of tokens: llama.cpp's conversion/base.py and gguf-py/gguf/vocab.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bitwright.errors import FileFormatError
from bitwright.io import json_text
from bitwright.io.gguf import Typed
from bitwright.io.values import Values, without_nulls
from bitwright.model.conversion import byte_level, characters, chat_templates, sentencepiece, special_tokens

SENTENCEPIECE, JSON, CONFIG, MODEL = "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "config.json"
ADDED = "added_tokens.json"


class Read(NamedTuple):
    """A JSON file's values, empty if there is none."""

    path: Path
    values: Mapping[str, Any]

    @property
    def checked(self) -> Values:
        """The values, checked when they are read."""
        return Values(self.values, self.path)


def metadata(
    folder: Path, size: int, roles: Mapping[str, str], by_characters: bool = False, pre: str = ""
) -> tuple[dict[str, Any], list[Path]]:
    """The metadata of the tokenizer in a folder, for an embedding of `size` rows, and the files that were read. roles:
    texts of the tokens that have a role in the family's models if the folder names no other. by_characters: merges of
    tokenizer.json join characters, as `characters` reads them. pre: what the family's pre-tokenizer is called, of the
    names that mean the same.

    Raises FileFormatError for a file that is broken or missing, UnsupportedError for a kind of vocabulary or a
    pre-tokenizer that bitwright does not know.
    """
    files = {name: _read(folder / name) for name in (JSON, CONFIG, MODEL, ADDED)}
    tokenizer, config = files[JSON].checked, files[CONFIG].checked
    model = folder / SENTENCEPIECE
    if by_characters and tokenizer.values:
        found = characters.vocabulary(tokenizer, size, config)
    elif model.is_file():
        found = sentencepiece.vocabulary(model, size, files[ADDED].checked, config)
    elif tokenizer.values:
        found = byte_level.vocabulary(tokenizer, size, config, pre)
    else:
        raise FileFormatError(folder, None, f"{JSON} or {SENTENCEPIECE}", "neither")
    tokens = found["tokens"].value
    found |= special_tokens.metadata(tokens, tokenizer, config, files[MODEL].checked)
    usual = {f"{role}_token_id": Typed(tokens.index(text), "uint32") for role, text in roles.items() if text in tokens}
    found = usual | found
    if "pre" in found and found["pre"].value in byte_level.ADD_BOS:
        found.setdefault("add_bos_token", Typed(False, "bool"))
    if by_characters:  # whatever tokenizer_config.json says
        found["add_bos_token"] = Typed(True, "bool")
    templates, more = chat_templates.metadata(folder, config)
    read = [*(file.path for name, file in files.items() if file.values and name != MODEL), *more]
    keys = {f"tokenizer.ggml.{key}": value for key, value in found.items()} | templates
    return keys, [*([model] if model.is_file() and not by_characters else ()), *read]


def _read(path: Path) -> Read:
    return Read(path, without_nulls(json_text.read(path)) if path.is_file() else {})
