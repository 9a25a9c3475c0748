"""The original's side of the suite, computed once and kept: what it writes after each prompt, and its noise floors.

A folder in the cache holds one file per prompt, named after the prompt's tokens. A file that is missing or damaged is
computed again, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing
from bitwright.measure import reference
from bitwright.measure.condensed import Condensed
from bitwright.measure.horizon import prompts, render
from bitwright.measure.horizon.prompts import Item
from bitwright.measure.rollout import reading, writing
from bitwright.measure.rollout.baseline import otherwise
from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import GREEDY, Prompt, Rollout
from bitwright.measure.together import TOGETHER
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine

STEPS = 32  # tokens written after each prompt; an end of text is a token like any other
FORMAT = 1  # of the files; others are not read
PREDICTIONS = ("ids", "logits", "normalizers", "rest")  # of Condensed
READ = ("leads", "others", "losses", "divergences")  # of Reading
ROUNDED = "log-probabilities in 16 bits"
GGML = "activations rounded as llama.cpp does"


@dataclass(frozen=True)
class Original:
    """What a reference wrote after the items' prompts, and how it reads that itself when computed otherwise: `floors`
    by description, the machine's own noise first."""

    engine: Engine
    items: tuple[Item, ...]
    rollouts: list[Rollout] = field(repr=False)
    floors: dict[str, list[Reading]] = field(repr=False)

    @property
    def ids_sha256(self) -> str:
        """SHA-256 of the prompts in the model's tokens."""
        return render.sha256_of([rollout.prompt for rollout in self.rollouts])


def write(engine: Engine, items: Sequence[Item], progress: Progress | None = None) -> Original:
    """Let a reference write, or read what it wrote. UsageError if a prompt does not fit the model's context."""
    all_prompts = render.render(engine.model, items)
    engine = writing.fitted(engine, max(len(p.ids) for p in all_prompts) + STEPS)
    others = _others(engine)
    folder = _folder(engine, list(others))
    found = {
        number: kept for number, prompt in enumerate(all_prompts) if (kept := _read(folder, number, prompt, others))
    }
    missing = [number for number in range(len(all_prompts)) if number not in found]
    for start in range(0, len(missing), TOGETHER):
        numbers = missing[start : start + TOGETHER]
        batch = [all_prompts[number] for number in numbers]
        for rollout in writing.write(engine, batch, STEPS, keep=True, numbers=numbers, ends=False):
            floors = [reading.read(o.session(), rollout, rounded=name.endswith(ROUNDED)) for name, o in others.items()]
            _save(_path(folder, rollout.prompt), rollout, floors)
            found[rollout.number] = rollout, floors
        if progress:
            progress(start + len(numbers), len(missing), "the original writes")
    whole = [found[number] for number in range(len(all_prompts))]
    by_name = {name: [floors[place] for _, floors in whole] for place, name in enumerate(others)}
    return Original(engine, tuple(items), [rollout for rollout, _ in whole], by_name)


def _others(engine: Engine) -> dict[str, Engine]:
    """Other ways to compute the same model. The second shows what another engine's habits change."""
    other = otherwise(engine)
    tier = f"tier {other.tier} and " if other.tier != engine.tier else ""
    found = {f"{tier}{ROUNDED}": other}
    if engine.options.activations != "ggml":
        found[GGML] = engine.replace(activations="ggml")
    return found


def _folder(engine: Engine, floors: Iterable[str]) -> Path:
    about = reference.describe(engine) | {"format": FORMAT, "steps": STEPS, "tier": engine.tier, "floors": list(floors)}
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "horizon" / f"{prompts.VERSION}-{engine.path.stem[:48]}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _path(folder: Path, prompt: Prompt) -> Path:
    return folder / f"{render.sha256_of([prompt])[:32]}.npz"


def _save(path: Path, rollout: Rollout, floors: Sequence[Reading]) -> None:
    assert rollout.predictions is not None
    arrays: dict[str, Any] = {name: getattr(rollout, name) for name in ("tokens", "leads", "losses")}
    arrays |= {f"predictions.{name}": getattr(rollout.predictions, name) for name in PREDICTIONS}
    arrays |= {f"floor{place}.{name}": getattr(floor, name) for place, floor in enumerate(floors) for name in READ}
    with replacing(path) as file:
        np.savez(file, kept=rollout.predictions.kept, **arrays)


def _read(folder: Path, number: int, prompt: Prompt, floors: Iterable[str]) -> tuple[Rollout, list[Reading]] | None:
    """What was kept for a prompt, or None if its file is missing or damaged."""
    try:
        with np.load(_path(folder, prompt)) as file:
            found = {name: file[name] for name in file.files}
        stored = {name: found[f"predictions.{name}"] for name in PREDICTIONS}
        predictions = Condensed(**stored, kept=int(found["kept"]))
        tokens, leads, losses = (found[name] for name in ("tokens", "leads", "losses"))
        rollout = Rollout(number, prompt, GREEDY, tokens, False, leads, losses, predictions)
        read = [Reading(rollout, *(found[f"floor{i}.{name}"] for name in READ)) for i, _ in enumerate(floors)]
        whole = all(len(array) == STEPS for name, array in found.items() if name != "kept")
    except MemoryError:  # no fault of the file
        raise
    except Exception:  # missing, or damaged, which makes zipfile and NumPy raise nearly every kind: computed again
        return None
    return (rollout, read) if whole else None
