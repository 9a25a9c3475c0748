"""The built-in list of published models, data/models.json: their config.json, and where it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from bitwright import names
from bitwright.errors import FileFormatError, UnknownNameError

DATA = "models.json"


@dataclass(frozen=True)
class PublishedModel:
    """config: the keys of its config.json that determine its shape. published_billions: of parameters, vision parts
    included. read_in_source: the keys of config that were read in `source`; the others are general knowledge. native:
    the format that its makers publish, unless that has 16 bits. aliases: other models of the same shape and context."""

    id: str
    name: str
    hub: str | None
    config: dict[str, Any]
    published_billions: float
    read_in_source: tuple[str, ...]
    source: str
    native: str | None = None
    note: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def called(self) -> list[str]:
        """Other names than the id."""
        return [self.name, *([self.hub.rpartition("/")[2]] if self.hub else ()), *self.aliases]

    def named(self, text: str) -> str:
        """Its name, and what was asked for if that is another model of its shape."""
        asked = names.compact(text.rpartition("/")[2])
        return f"{self.name} (the shape of {text})" if asked in map(names.compact, self.aliases) else self.name

    @property
    def standing(self) -> str:
        """The source of the configuration: a source that was read, or general knowledge."""
        known = [key for key in self.config if key not in self.read_in_source and key != "model_type"]
        if not known:
            return "read in a source"
        return "general knowledge" if not self.read_in_source else f"read in a source, except for {', '.join(known)}"


@cache
def models() -> dict[str, PublishedModel]:
    """All published models by id."""
    text = resources.files("bitwright.model.architectures").joinpath("data", DATA).read_text(encoding="utf-8")
    found: dict[str, PublishedModel] = {}
    for row in json.loads(text)["models"]:
        unread = set(row["read_in_source"]) - row["config"].keys()
        if row["id"] in found or unread:
            problem = f"{sorted(unread)} outside" if unread else "it twice"
            raise FileFormatError(DATA, None, f"{row['id']} once, read_in_source among config's keys", problem)
        found[row["id"]] = PublishedModel(
            **row | {key: tuple(row.get(key, ())) for key in ("read_in_source", "aliases")}
        )
    return found


def find(text: str) -> PublishedModel | None:
    """The model of this id, or the one that people call so ("Qwen3 8B", "llama3.1:8b", "openai/gpt-oss-20b")."""
    if text in models():
        return models()[text]
    asked = names.compact(text.rpartition("/")[2])
    return next((m for m in models().values() if asked in map(names.compact, (m.id, *m.called))), None)


def get(text: str) -> PublishedModel:
    """What `find` finds; UnknownNameError with close ids if there is nothing."""
    if found := find(text):
        return found
    called = {id: model.called for id, model in models().items()}
    raise UnknownNameError("shape", text, called, names.nearest(text, called))
