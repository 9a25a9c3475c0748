"""The formats that a tensor may take."""

from __future__ import annotations

import pytest

from bitwright import formats
from bitwright.errors import UnknownNameError
from bitwright.fit.families import FAMILIES, formats_for
from bitwright.io import gguf
from bitwright.quantizers.work import SEARCH, seconds


def test_the_time_of_every_format_is_known() -> None:
    assert set(SEARCH) == {name for family in FAMILIES.values() for name in family}
    grid, plain = (seconds(10**6, 768, formats.get(name), 0) for name in ("iq3_s", "q4_k"))
    assert grid > 5 * plain > 5 * seconds(10**6, 768, formats.get("q4_k"), None) > 0


def test_formats_of_families() -> None:
    def names(tensor: str, columns: int, format: str = "f16", **how: object) -> list[str]:
        shape = (8, columns) if tensor.endswith("q.weight") else (columns,)
        info = gguf.TensorInfo(tensor, shape, formats.get(format), 0, 0, 0)
        return [format.name for format in formats_for(info, "llama", **how)]

    everything = names("blk.0.attn_q.weight", 256)
    assert set(everything) == {name for family in FAMILIES.values() for name in family} | {"float16"}
    assert everything[-1] == "float16" and everything[0] == "iq1_s"
    assert names("blk.0.attn_q.weight", 96, families=["k"]) == ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "float16"]
    assert names("blk.0.attn_q.weight", 64, families=["2bit", "fp4"]) == ["q2_0", "mxfp4", "nvfp4", "float16"]
    assert names("blk.0.attn_q.weight", 64, "float32", families=[]) == ["float16"]
    assert names("blk.0.attn_q.weight", 64, "q4_0", families=["k", "2bit"]) == ["q2_0", "q4_0"]
    assert names("blk.0.attn_q.weight", 20) == ["float16"]
    assert names("blk.0.attn_norm.weight", 256, "float32") == ["float32"]
    with pytest.raises(UnknownNameError, match="iq"):
        names("blk.0.attn_q.weight", 64, families=["iqs"])
