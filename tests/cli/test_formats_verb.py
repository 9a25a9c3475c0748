"""`bitwright formats`."""

from __future__ import annotations

import pytest

from bitwright import formats


def test_the_table_of_formats(bitwright) -> None:
    text = bitwright("formats").out
    found = bitwright("formats", "--json").json["formats"]
    assert [f["name"] for f in found] == [f.name for f in formats.all()]
    assert all(f"{f['name']} " in text for f in found)


@pytest.mark.parametrize("name", ["q4_0", "Q4_K", "float8_e4m3fn"])
def test_one_format(bitwright, name) -> None:
    found = bitwright("formats", name, "--json").json
    format = formats.get(name)
    assert (found["name"], found["ggml"], found["bits_per_weight"]) == (
        format.name,
        format.ggml,
        format.bits_per_weight,
    )
    assert sum(f["bytes"] for f in found["fields"]) == found["block_bytes"] == format.block_bytes
    assert next(f["offset"] for f in found["fields"]) == 0
    assert format.formula in bitwright("formats", name).out
