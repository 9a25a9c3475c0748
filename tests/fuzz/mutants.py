"""Random mutants of small model files: what a damaged or hostile file does to a step.

A mutant changes a few things at random: values of the metadata, bytes of tensors (scales that are NaN or infinite,
codes that no encoder writes), names, shapes and formats of tensors, or bytes of the header. `outcome` opens it, runs a
prompt and a few steps, and gives the text; the only failure that it may end in is a BitwrightError.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import wrong_types

from bitwright import formats
from bitwright.engine import Engine, Sampler, generate
from bitwright.engine.engine import RunOptions
from bitwright.errors import BitwrightError
from bitwright.formats import Format
from bitwright.io import gguf
from bitwright.model.model import Model

FORMATS = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_1", "iq4_nl", "mxfp4")  # with blocks of 32
HARD = (0, 1, -1, 2, 7, 64, 1 << 16, 1 << 31, (1 << 32) - 1, 0.0, -0.0, 0.5, 1e-30, 1e30, float("nan"), float("inf"))


@dataclass(frozen=True)
class Parts:
    """A model file in parts: its metadata, and each tensor's name, shape, format and bytes."""

    metadata: dict[str, Any]
    tensors: list[tuple[str, tuple[int, ...], Format, bytes]]


def base(architecture: str, format: str, seed: int) -> Parts:
    """A tiny model with random weights, its matrices in `format`."""
    poisoner = wrong_types.Poisoner(architecture)
    rng = np.random.default_rng(seed)
    tensors = []
    for name, shape, f32 in poisoner.infos:
        kind = formats.get(format) if len(shape) == 2 else f32
        kind = kind if shape[-1] % kind.block_size == 0 else f32
        values = rng.standard_normal(shape).astype(np.float32) * 0.3 + (len(shape) == 1)
        tensors.append((name, shape, kind, np.ascontiguousarray(kind.quantize(values)).tobytes()))
    return Parts(poisoner.metadata, tensors)


def values(parts: Parts, rng: np.random.Generator) -> Parts:
    """Changes a value of the metadata, most often to one of the same type."""
    key = rng.choice(list(parts.metadata))
    old, new = parts.metadata[key], HARD[rng.integers(len(HARD))]
    if isinstance(old, np.ndarray):
        old = old.copy()
        with np.errstate(all="ignore"):
            old[rng.integers(len(old))] = np.float64(new).astype(old.dtype)
        return replace(parts, metadata=parts.metadata | {key: old})
    if isinstance(old, list):
        old = list(old)
        old[rng.integers(len(old))] = rng.choice(["", "a", old[0], "\x1b[2J", "é" * 9, "\udcff"])
        return replace(parts, metadata=parts.metadata | {key: old})
    if isinstance(old, int) and not isinstance(old, bool) and rng.random() < 0.5:
        new = max(0, old + int(rng.integers(-2, 3)))
    if isinstance(old, float):
        new = float(new) if rng.random() < 0.5 else old * float(10 ** rng.uniform(-6, 6))
    return replace(parts, metadata=parts.metadata | {key: new})


def data(parts: Parts, rng: np.random.Generator) -> Parts:
    """Changes bytes of a tensor: one, a few next to each other, or all."""
    at = int(rng.integers(len(parts.tensors)))
    name, shape, format, content = parts.tensors[at]
    changed = bytearray(content)
    start = int(rng.integers(len(changed)))
    count = int(rng.choice([1, 2, 4, 34, len(changed)]))
    filling = rng.choice([0x00, 0xFF, 0x7C, 0x7F, -1])
    end = min(len(changed), start + count)
    changed[start:end] = rng.bytes(end - start) if filling < 0 else bytes([filling]) * (end - start)
    tensors = list(parts.tensors)
    tensors[at] = (name, shape, format, bytes(changed))
    return replace(parts, tensors=tensors)


def layout(parts: Parts, rng: np.random.Generator) -> Parts:
    """Changes a tensor's name, shape or format, leaves one out, or swaps the contents of two."""
    tensors, (at, other) = list(parts.tensors), rng.integers(len(parts.tensors), size=2)
    name, shape, format, content = tensors[at]
    kind = rng.integers(5)
    if kind == 0:
        tensors[at] = (str(rng.choice([name + "x", "output.weight", "rope_freqs.weight", "blk.9.attn_q.weight"])),
                       shape, format, content)  # fmt: skip
    elif kind == 1:
        tensors[at] = (name, tuple(reversed(shape)), format, content)
    elif kind == 2:
        new = formats.get(str(rng.choice(FORMATS)))
        size = new.row_bytes(shape[-1]) * (shape[0] if len(shape) == 2 else 1) if shape[-1] % new.block_size == 0 else 0
        tensors[at] = (name, shape, new, (content * 8)[:size].ljust(size, b"\x3c")) if size else tensors[at]
    elif kind == 3:
        del tensors[at]
    elif len(tensors[at][3]) == len(tensors[other][3]):
        tensors[at] = (*tensors[at][:3], tensors[other][3])
    return replace(parts, tensors=tensors)


def assembled(parts: Parts) -> bytes:
    """The bytes of a file; UsageError for what GGUF cannot hold."""
    found = gguf.layout(parts.metadata, [tensor[:3] for tensor in parts.tensors])
    pieces, at = [*found.header], sum(map(len, found.header))
    for *_, content in parts.tensors:
        padding = -at % found.alignment
        if padding > 1 << 20:
            break
        pieces += [bytes(padding), content]
        at += padding + len(content)
    return b"".join(pieces)


def header(content: bytes, rng: np.random.Generator) -> bytes:
    """Changes bytes of the file, most of them in its header, or cuts it short."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = rng.integers(8, min(len(changed), 3000)) if rng.random() < 0.8 else rng.integers(len(changed))
        changed[place] = rng.integers(256)
    return bytes(changed[: int(rng.integers(1, len(changed)))]) if rng.random() < 0.05 else bytes(changed)


CHANGES: tuple[Callable[[Parts, np.random.Generator], Parts], ...] = (values, *[data] * 6, layout)


class Mutants:
    """Makes mutant number `seed` of tiny models of every architecture and format, always the same one."""

    def __init__(self) -> None:
        self._bases: dict[tuple[str, str], Parts] = {}

    def make(self, seed: int) -> bytes:
        """The bytes of a mutant; UsageError for one that GGUF cannot hold."""
        rng = np.random.default_rng(seed)
        key = (str(rng.choice([*wrong_types.ARCHITECTURES])), str(rng.choice(FORMATS)))
        if key not in self._bases:
            self._bases[key] = base(*key, seed=0)
        parts = self._bases[key]
        for _ in range(int(rng.integers(1, 4))):
            parts = CHANGES[rng.integers(len(CHANGES))](parts, rng)
        content = assembled(parts)
        return header(content, rng) if rng.random() < 0.25 else content


def outcome(content: bytes) -> str:
    """What became of a file: "refused" before a step, "stopped" by an error after one, or "ran".

    Raises whatever is not a BitwrightError: a finding.
    """
    stepped = False
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        try:
            engine = Engine(Model.from_gguf(wrong_types.opened(content)), RunOptions(threads=1))
            session = engine.session()
            ids = [id % engine.config.vocabulary for id in range(5)][: max(1, engine.context - 4)]
            session.prefill(ids)
            stepped = True
            session.reset()
            ids = engine.tokenizer.encode("ab ba")[: max(1, engine.context - 4)] or ids
            found = generate(session, ids, Sampler(temperature=0.8, seed=1), max_tokens=3)
            engine.tokenizer.decode(found)
        except BitwrightError as error:
            message = str(error)
            if "\n" in message or len(message) > 1500:
                raise AssertionError(f"not one line: {message!r}") from error
            return "stopped" if stepped else "refused"
    return "ran"
