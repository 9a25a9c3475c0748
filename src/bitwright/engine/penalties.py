"""Making tokens less likely that came before, in llama.cpp's order and meaning (src/llama-sampler.cpp, penalties)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Penalties:
    """repeat: divides the logits of tokens among the `last` ones, or multiplies them if negative (1: nothing; `last`
    -1: all tokens). frequency: subtracted for each time a token came. presence: subtracted if it came. bias: added to
    the logits of ids."""

    repeat: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0
    last: int = 64
    bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return bool(self.bias) or (self.repeat, self.frequency, self.presence) != (1, 0, 0)

    def apply(self, logits: NDArray[np.float32], ids: Sequence[int]) -> None:
        """Change logits (vocabulary,) in place; `ids` came before."""
        for id, added in self.bias.items():
            logits[id] += added
        recent = ids if self.last < 0 else ids[len(ids) - self.last :] if self.last else ()
        if not recent or (self.repeat, self.frequency, self.presence) == (1, 0, 0):
            return
        counts = Counter(recent)
        at, times = np.fromiter(counts, np.intp), np.fromiter(counts.values(), np.float32)
        own = logits[at]
        own = np.where(own <= 0, own * self.repeat, own / self.repeat)
        logits[at] = own - times * self.frequency - self.presence
