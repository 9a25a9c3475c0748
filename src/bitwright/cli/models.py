"""From the MODEL that the user typed to a file, a tokenizer or a loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.cli import output

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.model.model import Model
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.progress import Progress

LARGE = 1 << 30  # bytes of a file from which on it is asked whether memory holds it


def resolve(reference: str) -> Path:
    """The local file that `reference` names, downloaded if it is not cached; with an adapter, its base too."""
    path = fetched(reference)
    if path.is_dir():
        from bitwright.model import files

        with output.progress(f"getting what {reference} is for") as report:
            files.base_of(path, progress=in_bytes(report))
    return path


def fetched(reference: str) -> Path:
    """The local file that `reference` names, or a folder, downloaded if it is not cached."""
    from bitwright.io import hub

    with output.progress(f"getting {reference}") as report:
        return Path(hub.resolve(reference, progress=in_bytes(report)))


def in_bytes(report: Progress) -> Progress:
    """A report of bytes, with their number in words."""
    return lambda done, total, _: report(done, total, output.human_bytes(int(done)))


def tokenizer(reference: str) -> Tokenizer:
    """The tokenizer of the model that `reference` names."""
    from bitwright.model import load_tokenizer

    return load_tokenizer(resolve(reference))


def open(reference: str) -> Model:
    """The model that `reference` names."""
    from bitwright.model.model import load

    return load(resolve(reference))


def load(
    reference: str,
    context: int | None = None,
    threads: int | None = None,
    kv: str = "f16",
    activations: str = "int8",
    cache_packed: bool = False,
) -> Engine:
    """The model that `reference` names, ready to run; from a file of the cache if memory does not hold it."""
    from bitwright import engine

    loaded = engine.load(resolve(reference), context, threads, None, kv, activations, cache_packed)
    if loaded.model.file_bytes < LARGE or not loaded.model.is_a_file:
        return loaded
    from bitwright.hardware.paging import paging

    if (found := paging(loaded)) is None:
        return loaded
    speed = f", about {output.human_rate(found.tokens_per_second)} tokens/s" if found.tokens_per_second else ""
    output.remark(f"{loaded.path.name} has {output.human_bytes(found.weights)} of weights, and "
                  f"{output.human_bytes(found.available)} of memory are free: they are read from the disk for every "
                  f"token{speed}; a smaller file that fits is faster (bitwright fit)")  # fmt: skip
    return loaded.replace(cache_packed=True)


def with_room(engines: Sequence[Engine], sequences: Sequence[int], context: int | None) -> list[Engine]:
    """Models that run together, each over so many texts, with the context that was asked for or the longest that this
    machine has room for. It is said if a text of that length does not fit."""
    from bitwright.hardware.room import Room

    room = Room.here(engines, sequences)
    context = room.longest() if context is None else context
    if room.bytes is not None and (needed := sum(room.needed(context))) > room.bytes:
        output.remark(f"a text of {context} tokens takes {output.human_bytes(needed)} of memory, and "
                      f"{output.human_bytes(room.bytes)} are free: choose a smaller --ctx, or --kv q8_0")  # fmt: skip
    return room.divided(context)
