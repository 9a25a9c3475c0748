"""No value of a model file's metadata, of whatever type, ends in anything but one line that names it.

The whole table (every key with every wrong value, for every architecture that runs) takes a minute or two: in CI it
gets as many seconds as BITWRIGHT_FUZZ_SECONDS says, elsewhere a few, and a seed per day chooses what comes first.
"""

from __future__ import annotations

import os
import random
import time
import warnings
from typing import Any

import numpy as np
import wrong_types

from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.errors import BitwrightError
from bitwright.io import label
from bitwright.model.architectures import outline
from bitwright.model.model import Model
from bitwright.recipes.rules import Shape
from bitwright.views import inspect

SECONDS = int(os.environ.get("BITWRIGHT_FUZZ_SECONDS") or (60 if os.environ.get("CI") else 2))


def read_in_every_way(file: Any) -> list[str]:
    """What the verbs read; returns the messages of what is refused."""

    def run() -> None:
        model = Model.from_gguf(file)
        Engine(model, RunOptions(threads=1)).session().prefill([0, 1])
        model.tokenizer.decode(model.tokenizer.encode("ab ba"))
        if model.chat_template:
            model.chat_template.render([{"role": "user", "content": "a"}])

    refused = []
    for read in (
        lambda: inspect.inspect(file),
        lambda: outline.from_gguf(file),
        lambda: Shape.of(file.metadata),
        lambda: label.read(file),
        run,
    ):
        try:
            read()
        except BitwrightError as error:
            refused.append(str(error))
    return refused


def check(architecture: str, key: str, poison: str, poisoner: wrong_types.Poisoner) -> None:
    try:
        refused = read_in_every_way(poisoner.file(key, poison))
    except BitwrightError as error:
        refused = [str(error)]
    except Exception as error:
        raise AssertionError(f"{architecture}: {key} = {poison}: {type(error).__name__}: {error}") from error
    for message in refused:
        assert "\n" not in message and len(message) < 1000, f"{key} = {poison}: {message}"


def test_wrong_values_are_refused_or_harmless() -> None:
    poisoners = {name: wrong_types.Poisoner(name) for name in wrong_types.ARCHITECTURES}
    cases, started = list(wrong_types.table()), time.monotonic()
    random.Random(15).shuffle(cases)
    done = 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        for architecture, key, poison in cases:
            if time.monotonic() - started > SECONDS:
                break
            check(architecture, key, poison, poisoners[architecture])
            done += 1
    print(f"{done} of {len(cases)} in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    test_wrong_values_are_refused_or_harmless()
