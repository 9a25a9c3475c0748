"""Which tokens have a role, and which of them are put around a text.

Roles and where they are looked for: SpecialVocab in llama.cpp's gguf-py/gguf/vocab.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.errors import UnsupportedError
from bitwright.io.gguf import Typed
from bitwright.io.values import Values
from bitwright.model.conversion.components import components

ROLES = {  # in tokenizer_config.json and config.json: in GGUF, which spells one of them so
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",
    "pad": "padding",
    "mask": "mask",
}
TEMPLATE = "TemplateProcessing"
AROUND = ("bos", "eos", "sep")  # which a text may get


def metadata(tokens: Sequence[str], tokenizer: Values, config: Values, model: Values) -> dict[str, Typed]:
    """The ids of special tokens, and whether they are added to a text. A role that tokenizer_config.json names by text
    counts before the id in config.json."""
    config, found = _with_bos(tokenizer, config), dict[str, Typed]()
    ids = {text: id for id, text in reversed(list(enumerate(tokens))) if text}
    for role, key in ROLES.items():
        if (id := ids.get(text_of(config, role), _id(model, role))) is not None and 0 <= id < len(tokens):
            found[f"{key}_token_id"] = Typed(id, "uint32")
    added = _around(tokenizer, config)
    for role in AROUND:
        flag = config.get(f"add_{role}_token")
        if role in added or isinstance(flag, bool):
            found[f"add_{role}_token"] = Typed(added.get(role, flag), "bool")
    return found


def text_of(config: Values, role: str) -> str:
    """The text of a role's token in tokenizer_config.json, which may be an object with a content; "" without one."""
    value = config.get(f"{role}_token")
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _id(model: Values, role: str) -> int | None:
    """The id of a role's token in config.json, where several ids are no one's."""
    inner, key = model.inner("text_config"), f"{role}_token_id"
    value = model.get(key) if model.has(key) else inner.get(key)
    return value if type(value) is int else None


def _around(tokenizer: Values, config: Values) -> dict[str, bool]:
    """What tokenizer.json's post-processor puts around a text: whether a role's token is."""
    found: dict[str, bool] = {}
    for processor in components(tokenizer, "post_processor", "processors"):
        kind = processor.text("type")
        if kind == "ByteLevel":
            found = {"bos": False, "eos": False} | found
        elif kind == TEMPLATE:
            found |= _template(processor, config)
        else:
            raise UnsupportedError(f"{tokenizer.place}: post-processor", kind, ["ByteLevel", TEMPLATE])
    return found


def _with_bos(tokenizer: Values, config: Values) -> Values:
    """tokenizer_config.json; if it names no BOS, as SmolLM 3's, with the token that begins a text in tokenizer.json."""
    if text_of(config, "bos"):
        return config
    templates = [p for p in components(tokenizer, "post_processor", "processors") if p.get("type") == TEMPLATE]
    first = next((names[0] for names in map(_names, templates) if names), None)
    return Values({**config.values, "bos_token": first}, config.place) if isinstance(first, str) else config


def _names(processor: Values) -> list[Any]:
    """What a single text becomes by a template: the names of tokens, and None for the text itself."""
    parts: Any = processor.get("single")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise processor.error("single", "a list of objects")
    return [part["SpecialToken"].get("id") if isinstance(part.get("SpecialToken"), dict) else None for part in parts]


def _template(processor: Values, config: Values) -> dict[str, bool]:
    """Whether a template puts BOS and EOS around a text; llama.cpp knows nothing else."""
    names = _names(processor)
    bos, eos = text_of(config, "bos"), text_of(config, "eos")
    first, last = bool(bos) and names[:1] == [bos], bool(eos) and names[-1:] == [eos] and len(names) > 1
    if names != [*([bos] if first else ()), None, *([eos] if last else ())]:
        shown = " ".join("TEXT" if name is None else str(name) for name in names)
        raise UnsupportedError(f"{processor.place}: a template", shown, ["bos_token TEXT eos_token, or parts of it"])
    return {role: True for role, is_there in (("bos", first), ("eos", last)) if is_there}
