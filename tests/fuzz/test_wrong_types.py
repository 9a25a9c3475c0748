"""No value of a model's description, of whatever type, ends in anything but one line that says what is wrong.

The whole tables (every key with every wrong value, for every architecture that runs and every family that is planned
for) take a minute of one core: each gets as many seconds as BITWRIGHT_FUZZ_SECONDS says, by default 60 in CI and 1
elsewhere.
"""

from __future__ import annotations

import itertools
import os
import random
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import wrong_configs
import wrong_types

from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.errors import BitwrightError
from bitwright.hardware import devices, plan
from bitwright.io import label
from bitwright.model.architectures import outline
from bitwright.model.model import Model
from bitwright.recipes.rules import Shape
from bitwright.views import inspect

SECONDS = int(os.environ.get("BITWRIGHT_FUZZ_SECONDS") or (60 if os.environ.get("CI") else 1))


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


def check(case: tuple[str, str, str], read: Callable[[], list[str]]) -> None:
    name = "{}: {} = {}".format(*case)
    try:
        refused = read()
    except BitwrightError as error:
        refused = [str(error)]
    except Exception as error:
        raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    for message in refused:
        assert "\n" not in message and len(message) < 1500, f"{name}: {message}"


def try_all(cases: Iterable[tuple[str, str, str]], read: Callable[..., list[str]]) -> None:
    """All cases, in an order that mixes them, or as many as there is time for."""
    shuffled, started, done = list(cases), time.monotonic(), 0
    random.Random(15).shuffle(shuffled)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        for case in shuffled:
            check(case, lambda case=case: read(*case))
            done += 1
            if time.monotonic() - started > SECONDS:
                break
    print(f"{done} of {len(shuffled)} in {time.monotonic() - started:.1f} s")


def test_a_model_file_is_refused_or_runs() -> None:
    poisoners = {name: wrong_types.Poisoner(name) for name in wrong_types.ARCHITECTURES}
    try_all(wrong_types.table(), lambda name, key, poison: read_in_every_way(poisoners[name].file(key, poison)))


@pytest.mark.parametrize("kind", ["config", "metadata"])
def test_a_description_is_refused_or_planned_for(kind: str) -> None:
    cases, make = {
        "config": (wrong_configs.configs(), wrong_configs.of_config),
        "metadata": (wrong_configs.metadata(), wrong_configs.of_metadata),
    }[kind]
    (device,) = devices.named(["rtx-4090"])
    count = itertools.count()

    def read(*case: str) -> list[str]:
        found = make(*case)
        if next(count) % 8 == 0:  # a plan takes ten times as long as reading
            plan.rows(found, [device], plan.candidates(found, ["q4_k_m"]), plan.Ask(64))
        return []

    try_all(cases, read)
