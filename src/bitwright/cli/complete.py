"""What Tab completes in the shell; if nothing matches, the shell offers files."""

from __future__ import annotations

from collections.abc import Iterable


def model(incomplete: str) -> list[str]:
    """Aliases with this prefix. An empty word completes to files, because most models are files."""
    from bitwright.io.aliases import ALIASES

    return _beginning(ALIASES, incomplete) if incomplete else []


def cached(incomplete: str) -> list[str]:
    """Names of what is cached."""
    from bitwright.io import cache

    return _beginning((entry.name for entry in cache.entries()), incomplete)


def recipe(incomplete: str) -> list[str]:
    """llama.cpp's file types that can be written."""
    from bitwright import formats
    from bitwright.quantizers.tensor import can_encode
    from bitwright.recipes import FILE_TYPES

    return [name for name in _beginning(FILE_TYPES, incomplete) if can_encode(formats.get(FILE_TYPES[name].base))]


def format(incomplete: str) -> list[str]:
    """Names of formats."""
    from bitwright import formats

    return _beginning((f.name for f in formats.all()), incomplete)


def device(incomplete: str) -> list[str]:
    """Ids of devices, and without their first words if those are not typed: 30 completes to 3090-24gb."""
    from bitwright import names
    from bitwright.hardware import devices

    text, known = incomplete.lower(), devices.devices()
    if found := _beginning(known, text):
        return found
    ends = {id[i + 1 :]: id for id in known for i, c in enumerate(id) if c == "-" and id.startswith(text, i + 1)}
    return [end for end, id in ends.items() if names.products(end, {id: ()})]


def shape(incomplete: str) -> list[str]:
    """Ids of published models."""
    from bitwright.model.architectures import published

    return _beginning(published.models(), incomplete.lower())


def kv(incomplete: str) -> list[str]:
    """Formats of the key-value cache."""
    from bitwright.kernels import KV

    return _beginning(KV, incomplete)


def suite(incomplete: str) -> list[str]:
    """The suites of eval."""
    return _beginning(("quick", "full", "horizon"), incomplete)


def activations(incomplete: str) -> list[str]:
    """Ways to round activations."""
    from bitwright.kernels import ACTIVATIONS

    return _beginning(ACTIVATIONS, incomplete)


def method(incomplete: str) -> list[str]:
    """Ways to choose codes."""
    from bitwright.quantizers.quantizer import METHODS

    return _beginning(METHODS, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
