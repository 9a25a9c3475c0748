"""The built-in list of published models, data/models.json: their config.json, and where it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from bitwright.errors import FileFormatError, UnknownNameError

DATA = "models.json"


@dataclass(frozen=True)
class PublishedModel:
    """config: the keys of its config.json that determine its shape. published_billions: of parameters, vision parts
    included. read_in_source: the keys of config that were read in `source`; the others are general knowledge. native:
    the format that its makers publish, unless that has 16 bits."""

    id: str
    name: str
    hub: str | None
    config: dict[str, Any]
    published_billions: float
    read_in_source: tuple[str, ...]
    source: str
    native: str | None = None
    note: str | None = None

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
        found[row["id"]] = PublishedModel(**row | {"read_in_source": tuple(row["read_in_source"])})
    return found


def get(id: str) -> PublishedModel:
    """The model of this id; UnknownNameError with close ids if there is none."""
    if id not in models():
        raise UnknownNameError("shape", id, models())
    return models()[id]
