"""A small model and its statistics, for tests of the palette."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitwright import formats
from bitwright.calibration import ActivationStatistics, SecondMoment, SquareSums
from bitwright.calibration.moments import pack
from bitwright.formats import Format, QuantizedTensor
from bitwright.io import gguf
from bitwright.quantizers import Quantizer
from tests import synthetic_model

if TYPE_CHECKING:
    import pytest

Q4, Q5, F4, TERNARY = (formats.get(name) for name in ("q4_0", "q5_k", "mxfp4", "tq2_0"))
NAMES = "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.ffn_up.weight"
COLUMNS = 256
ALL = [(name, format) for name in NAMES for format in (Q4, Q5, F4, TERNARY)]


def written(path: Path, seed: int = 0) -> gguf.GGUF:
    """A file of three matrices and a norm."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.standard_normal((32, COLUMNS)) for name in NAMES}
    weights["blk.0.attn_norm.weight"] = np.ones(COLUMNS)
    return gguf.open(synthetic_model.write(path, synthetic_model.metadata_of("llama"), weights, "f16"))


def gathered(seed: int = 0, tokens: int = 1000, columns: int = COLUMNS) -> ActivationStatistics:
    """Second moments that the first two matrices share; importance of all three."""
    x = np.random.default_rng(seed).standard_normal((500, columns)) * np.linspace(0.1, 3, columns)
    moment = (x.T @ x / len(x)).astype(np.float32)
    own = SquareSums(tokens * moment.diagonal()[None].astype(np.float64), np.array([tokens]))
    shared = SecondMoment(NAMES[:2], "plain", 1, columns, lambda: pack(moment)[None])
    return ActivationStatistics(dict.fromkeys(NAMES, own), moments=(shared,))


def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of tensors that are quantized from now on."""
    names: list[str] = []
    encode = Quantizer.encode

    def counted(self: Quantizer, tensor: QuantizedTensor, format: Format) -> tuple[QuantizedTensor, float | None]:
        names.append(tensor.name)
        return encode(self, tensor, format)

    monkeypatch.setattr(Quantizer, "encode", counted)
    return names
