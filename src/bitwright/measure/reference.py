"""What candidates are measured against: a reference model's predictions of a text, computed once and stored.

A store is a folder: `about.json` identifies the model, and one file per chunk, named after the chunk's tokens, holds
its distributions (`condensed`). A chunk is written in full or not at all, so an interrupted run continues where it
stopped, and a run over more text computes only new chunks. The files are NumPy's .npz, whose checksums (CRC-32) are
verified on reading; a damaged chunk is computed again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UsageError
from bitwright.io import json_text
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing
from bitwright.measure.condensed import Condensed, condense, kept_for
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import negative_log_likelihoods
from bitwright.measure.windows import Windows
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session

ARRAYS = ("ids", "logits", "normalizers", "rest")  # of Condensed
VERSION = 1  # of the store; other versions are not read
PROBED = 64  # positions of the first chunk that decide how many tokens to keep


class ChunkPredictions(Protocol):
    """Predictions of one chunk's scored tokens (n,): their negative log-likelihoods, and the likeliest tokens."""

    @property
    def losses(self) -> NDArray[np.float64]:
        """The reference's loss in nats at each scored position."""

    @property
    def top(self) -> NDArray[np.int32]:
        """The reference's likeliest token at each scored position."""

    def divergence(self, start: int, logits: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """KL(reference || softmax(logits)) at positions from `start` on, and the variance that storing adds to it."""
        ...


class ReferencePredictions(Protocol):
    """Predictions of the chunks of `windows`, over a vocabulary."""

    windows: Windows
    vocabulary: int
    about: dict[str, Any]

    def chunk(self, index: int) -> ChunkPredictions:
        """The predictions of chunk `index`. A store raises UsageError if they are gone."""


@dataclass(frozen=True)
class StoredChunk:
    """One chunk: losses (n,) float64, the likeliest tokens (n,), the distributions."""

    losses: NDArray[np.float64]
    distributions: Condensed

    @property
    def top(self) -> NDArray[np.int32]:
        """The reference's likeliest token at each scored position."""
        return self.distributions.ids[:, 0]

    def divergence(self, start: int, logits: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """KL(reference || softmax(logits)) at positions from `start` on, and the variance that storing adds to it."""
        return self.distributions[start : start + len(logits)].divergence(logits)


class ReferenceStore:
    """A reference's chunks on disk. `computed` counts the chunks that this run had to compute, `damaged` those of them
    whose file was damaged."""

    def __init__(self, folder: Path, about: dict[str, Any], windows: Windows, vocabulary: int) -> None:
        self.folder, self.about, self.windows, self.vocabulary = folder, about, windows, vocabulary
        self.computed = self.damaged = 0

    def chunk(self, index: int) -> StoredChunk:
        """The predictions of chunk `index`. A store raises UsageError if they are gone."""
        found = self.read(index)
        if found is None:
            raise UsageError(f"chunk {index} is missing from the store {self.folder}: it was removed")
        return found

    def read(self, index: int) -> StoredChunk | None:
        """A chunk, or None if its file is missing or damaged."""
        path = self._path(index)
        try:
            with np.load(path) as file:
                parts = {name: file[name] for name in ARRAYS}
                found = StoredChunk(file["losses"], Condensed(**parts, kept=int(file["kept"])))
            self._check(found)
            return found
        except FileNotFoundError:
            return None
        except MemoryError:  # no fault of the file
            raise
        except Exception:  # flipped bits of an archive make zipfile and NumPy raise nearly every kind of exception
            self.damaged += 1
            return None

    def _check(self, chunk: StoredChunk) -> None:
        """Raise ValueError if the arrays do not have the shapes and the tokens that a chunk has."""
        d, count = chunk.distributions, self.windows.ids.shape[1] - 1 - self.windows.first
        kinds = [(a.dtype.kind, a.shape) for a in (chunk.losses, d.ids, d.logits, d.normalizers, d.rest)]
        wide = (count, d.ids.shape[-1])
        if kinds != [("f", (count,)), ("i", wide), ("f", wide), ("f", (count, 2)), ("f", (count,))]:
            raise ValueError(f"unexpected arrays: {kinds}")
        if not (1 <= d.kept <= wide[1] and d.ids.min() >= 0 and d.ids.max() < self.vocabulary):
            raise ValueError("unexpected tokens")

    def compute(self, index: int, session: Session) -> None:
        """Run the reference over a chunk and store its predictions; logits are held a slice at a time."""
        ids, parts, losses = self.windows.ids[index], [], []
        random = np.random.default_rng(list(self._digest(index)))
        for logits, targets in scored_logits(session, ids, self.windows.first):
            if "kept" not in self.about:
                self.about["kept"] = kept_for(logits[:: max(1, len(logits) // PROBED)])
                self._write_about()
            losses.append(negative_log_likelihoods(logits, targets))
            parts.append(condense(logits, self.about["kept"], random))
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
        with replacing(self._path(index)) as file:
            np.savez(file, losses=np.concatenate(losses), kept=self.about["kept"], **arrays)
        self.computed += 1

    def _digest(self, index: int) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(self.windows.ids[index], "<i4").tobytes()).digest()

    def _path(self, index: int) -> Path:
        return self.folder / f"{self._digest(index)[:16].hex()}.npz"

    def _write_about(self) -> None:
        with replacing(self.folder / "about.json") as file:
            file.write(json.dumps(self.about, indent=2).encode())


def store_reference(
    engine: Engine,
    windows: Windows,
    folder: Path | None = None,
    digest: str | None = None,
    progress: Progress | None = None,
) -> ReferenceStore:
    """The predictions of `engine` over `windows`, read from `folder`, or computed and stored there.

    `folder` defaults to one in bitwright's cache for this model and these settings; `digest` is the model's SHA-256 if
    known. Raises UsageError if the folder holds another reference, or the windows are longer than the model's
    context.
    """
    if windows.context > engine.context:
        raise UsageError(f"chunks of {windows.context} tokens do not fit the reference's context of {engine.context}")
    about = describe(engine, digest)
    cached = folder is None
    if folder is None:
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        folder = cache_folder() / "references" / f"{engine.path.stem[:48]}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    result = ReferenceStore(folder, _agreed(folder, about, cached), windows, engine.config.vocabulary)
    missing = [index for index in range(len(windows)) if result.read(index) is None]
    session = engine.session() if missing else None
    for done, index in enumerate(missing):
        assert session is not None
        result.compute(index, session)
        if progress:
            progress(done + 1, len(missing), f"reference, chunk {done + 1} of {len(missing)}")
    return result


def describe(engine: Engine, digest: str | None = None) -> dict[str, Any]:
    """Everything that determines a reference's predictions, except rounding (which `noise_floor` measures)."""
    from bitwright import __version__

    digest = digest or engine.model.sha256()
    return {
        "store": VERSION,
        "bitwright": __version__,
        "model": engine.path.name,
        "sha256": digest,
        "kv": engine.options.kv,
        "activations": engine.options.activations,
    }


def _agreed(folder: Path, about: dict[str, Any], cached: bool) -> dict[str, Any]:
    """The folder's description, which must match `about`; written with the first chunk if it is missing. The folder of
    the cache has the name of its description, so there one that is missing or damaged is written anew."""
    path = folder / "about.json"
    try:
        found: dict[str, Any] = json_text.parse(path.read_bytes(), path)
        wrong = [key for key in about if key != "model" and found.get(key) != about[key]]
        if type(found.get("kept")) is not int or not 1 <= found["kept"] < 1 << 31:
            raise ValueError(f"kept is {found.get('kept')}")
    except FileNotFoundError:
        if not cached and not all(p.name.startswith(".") and p.suffix == ".part" for p in folder.iterdir()):
            raise UsageError(
                f"{folder} is neither empty nor a store of reference predictions (it has no about.json)"
            ) from None
        return dict(about)  # what killed runs left is no reason to refuse
    except (BitwrightError, ValueError, AttributeError, OSError) as error:
        if cached:
            return dict(about)
        raise UsageError(f"{path} is damaged ({error}): remove the folder to compute the reference anew") from None
    if wrong and not cached:
        key = wrong[0]
        raise UsageError(f"{folder} holds another reference: its {key} is {found.get(key)}, expected {about[key]}")
    return dict(about) if wrong else found
