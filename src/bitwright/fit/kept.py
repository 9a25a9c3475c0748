"""The history of a search that is not finished, kept in the cache so that the same search goes on after a crash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bitwright
from bitwright.fit.choices import Choices
from bitwright.fit.evolution import Search
from bitwright.fit.history import VERSION, History
from bitwright.fit.settings import Settings
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing


@dataclass(frozen=True)
class Kept:
    """The file of one search."""

    path: Path

    @classmethod
    def of(cls, model: str, choices: Choices, tokens: NDArray[np.int32], settings: Settings, room: int) -> Kept:
        """The file for this model (its SHA-256), these choices, search text, budget and settings."""
        how = f"{bitwright.__version__} {Search()} {settings.objective} {settings.seed}"
        digest = hashlib.sha256(f"{model} {room} {how}".encode())
        digest.update(" ".join((*choices.tensors, *(f.name for f in choices.formats))).encode())
        for array in (choices.bytes, choices.cost, tokens):
            digest.update(np.ascontiguousarray(array).tobytes())
        return cls(cache_folder() / "searches" / f"{digest.hexdigest()[:32]}.json")

    def read(self) -> dict[str, Any] | None:
        """What this search has left; None if it left nothing, or a damaged file."""
        try:
            found = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("version") == VERSION else None

    def history(self) -> History | None:
        """The same; None before any candidate was measured on all chunks."""
        found = self.read()
        return History.from_json(found, found["task"]) if found and found["tried"] else None

    def write(self, history: History) -> None:
        """Keep the history, in place of the last."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as file:
            file.write(json.dumps(history.json()).encode())

    def remove(self) -> None:
        """Forget a search that is finished."""
        self.path.unlink(missing_ok=True)
