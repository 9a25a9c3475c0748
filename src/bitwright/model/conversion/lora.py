"""LoRA adapters: what a fine-tuning adds to the weights of a checkpoint, merged into them.

Files: https://huggingface.co/docs/peft/developer_guides/checkpoint. Arithmetic: PEFT's src/peft/tuners/lora/layer.py
(get_delta_weight).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.io import json_text
from bitwright.io.hub_choice import ADAPTER
from bitwright.io.safetensors import Stored
from bitwright.io.values import Values, without_nulls
from bitwright.model.conversion.families.family import expect
from bitwright.model.conversion.quantized import FORMS, rounded
from bitwright.model.conversion.stored import Weights

PREFIX = "base_model.model."
FACTOR = re.compile(r"(.+)\.lora_(embedding_)?[AB](?:\.weight)?")
PLAIN = re.compile(r"\^?[\w.]+")  # of keys that PEFT takes for patterns: the end of a name, or with ^ all of it
AT_ONCE = 1 << 20  # weights merged at once
EXPECTED: dict[str, tuple[object, ...]] = {  # settings that mean other arithmetic
    "peft_type": ("LORA",),
    "use_dora": (False,),
    "fan_in_fan_out": (False,),
    "lora_bias": (False,),
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),  # others change the base, too
    "layer_replication": (),
    "target_parameters": ([],),
    "trainable_token_indices": (),
    "alora_invocation_tokens": (),
}


class Added(NamedTuple):
    """What is added to a weight: `scale` times the product of two matrices, by their names; those of an embedding are
    stored transposed."""

    left: str
    right: str
    transposed: bool
    scale: float


def _settings(folder: Path) -> Values:
    return Values(without_nulls(json_text.read(folder / ADAPTER)), folder / ADAPTER)


class Merged(Weights):
    """The weights in a folder with an adapter's changes. Sums are float32, rounded once to the weight's own format."""

    def __init__(self, folder: Path, config: Values, adapter: Path, apart: bool = False) -> None:
        """Raises what `Weights` does for each folder; UnsupportedError for an adapter of another kind, FileFormatError
        for one that changes what the weights lack, or that has other shapes."""
        super().__init__(folder, config, apart)
        self._adapter = Weights(adapter, Values({}))
        self.paths += [*self._adapter.paths, adapter / ADAPTER]
        self.buffers += self._adapter.buffers
        settings = _settings(adapter)
        for key, allowed in EXPECTED.items():
            expect(settings, key, allowed)
        self._added: dict[str, Added] = {}
        self._replaced: dict[str, str] = {}
        for name in sorted(self._adapter.names):
            match = FACTOR.fullmatch(name.removeprefix(PREFIX))
            own = f"{match[1]}.weight" if match else name.removeprefix(PREFIX)
            if not name.startswith(PREFIX) or own not in self.names:
                path = self._adapter.path(name)
                raise FileFormatError(path, None, f"changes of tensors of {folder}", f"{name}, for {own}")
            if match:
                self._added[own] = self._checked(own, match[1], match[2] or "", settings)
            else:
                self._check(name, self.shape(own))
                self._replaced[own] = name

    def _checked(self, own: str, stem: str, embedding: str, settings: Values) -> Added:
        """What is added to the weight `own`, its shapes checked."""
        end = "" if embedding else ".weight"
        first, second = (f"{PREFIX}{stem}.lora_{embedding}{side}{end}" for side in "AB")
        rows, columns = self.shape(own) if len(self.shape(own)) == 2 else (0, 0)
        rank = self._adapter.shape(first)[0] if first in self._adapter.names else 0
        self._check(first, (rank, rows if embedding else columns))
        self._check(second, (columns if embedding else rows, rank))
        left, right = (first, second) if embedding else (second, first)
        return Added(left, right, bool(embedding), _scale(settings, stem, rank))

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        found = self._adapter.shape(name) if name in self._adapter.names else None
        if found != shape or 0 in shape:
            raise FileFormatError(self._adapter.paths[0], None, f"{name} to have shape {shape}", f"{found}")

    def place(self, name: str) -> Stored | None:
        """Where the bytes of a weight lie; None if they are made of others."""
        return None if name in self._added or name in self._replaced else super().place(name)

    def read(self, name: str) -> NDArray[Any]:
        """A weight as float32, float16 or the bits of bfloat16. BitwrightError if a sum is no number, or too large."""
        format, path = self.format(name), self._adapter.paths[0]
        if name in self._replaced:
            values = self._floats(self._replaced[name])
            return rounded(values, format, name, path).view(FORMS[format.name]).reshape(values.shape)
        stored = super().read(name)
        if name not in self._added:
            return stored
        added = self._added[name]
        left, right = self._floats(added.left), self._floats(added.right)
        if added.transposed:
            left, right = left.T, right.T
        made, step = np.empty_like(stored), max(1, AT_ONCE // stored.shape[1])
        for first in range(0, len(stored), step):
            part = slice(first, first + step)
            values = format.dequantize(stored[part].view(np.uint8)) + np.float32(added.scale) * (left[part] @ right)
            made[part] = rounded(values, format, name, path, first).view(made.dtype)
        return made

    def _floats(self, name: str) -> NDArray[np.float32]:
        return self._adapter.format(name).dequantize(self._adapter.read(name).view(np.uint8))


def _scale(settings: Values, stem: str, rank: int) -> float:
    """The factor of the product for one module (PEFT's `get_pattern_key`, `scaling`)."""
    alphas = settings.inner("alpha_pattern")
    alpha = settings.number("lora_alpha", low=0)
    for name in alphas.values:
        key = name.removeprefix(f"{alphas.prefix}.")
        if not PLAIN.fullmatch(key):
            raise UnsupportedError(f"{settings.place}: alpha_pattern with the pattern", key, ["names of modules"])
        if stem == key.removeprefix("^") or stem.endswith(f".{key}"):
            alpha = alphas.number(key, low=0)
            break
    return alpha / (math.sqrt(rank) if settings.flag("use_rslora", False) else rank)
