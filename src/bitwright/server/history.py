"""Responses that later requests may build on, kept in memory."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bitwright.server.errors import Refused

MOST, MOST_BYTES = 1024, 128 << 20  # responses; characters of their JSON


@dataclass(frozen=True)
class Kept:
    """A response, and the items of its conversation: all that were read for it, and those that are its answer."""

    response: dict[str, Any]
    read: Sequence[Any]
    written: Sequence[Any]
    size: int


class History:
    """The latest responses, as many as `most`, and as fit into `size` characters of JSON. What was used last stays
    longest."""

    def __init__(self, most: int = MOST, size: int = MOST_BYTES) -> None:
        self.most, self.size, self.held = most, size, 0
        self._kept = OrderedDict[str, Kept]()

    def add(self, response: dict[str, Any], read: Sequence[BaseModel], written: Sequence[BaseModel]) -> None:
        """Keep a response, and forget what was used least recently."""
        size = len(json.dumps(response)) + sum(len(item.model_dump_json()) for item in (*read, *written))
        self._kept[response["id"]] = Kept(response, read, written, size)
        self.held += size
        while self.held > self.size or len(self._kept) > self.most:
            self.held -= self._kept.popitem(last=False)[1].size

    def get(self, id: str) -> Kept:
        """A response by its id. Refused if there is none, or it was forgotten."""
        if id not in self._kept:
            raise Refused(404, "not_found_error", f"there is no response {id[:80]!r}: only the latest are kept, and "
                          "only until the server ends; send the whole conversation as input")  # fmt: skip
        self._kept.move_to_end(id)
        return self._kept[id]

    def drop(self, id: str) -> None:
        """Forget a response. Refused if there is none."""
        self.held -= self.get(id).size
        del self._kept[id]
