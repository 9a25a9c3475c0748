"""The chapter on blocks: what it computes is what the integer formats do, and its controls do what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.explorer.exhibits import Documents
from bitwright.io import gguf
from bitwright.quantizers.tensor import quantize_tensor
from bitwright.views.rows import row, rows, superblock

WIDE = "blk.0.ffn_down.weight"  # its rows are a multiple of every block
RUN = """async ([values, kind, size, wide, range]) => { const a = await import("./arithmetic.js");
    return Array.from(a.throughBlocks(Float32Array.from(values), kind, 4, size, wide, range ?? undefined)); }"""


def test_blocks_are_those_of_the_integer_formats(page: Watched) -> None:
    shown = page.open("blocks")
    values = np.random.default_rng(1).standard_normal((2, 512)).astype(np.float32)
    values[0, 7], values[1, 300] = 9, -20
    for kind in ("symmetric", "asymmetric"):
        for share in ("g16", "g128", "row", "tensor"):
            expected = quantize_tensor(values, f"int4_{kind[:-6]}_{share}", method="rtn").dequantize()[0]
            size = int(share[1:]) if share[0] == "g" else 512
            limits = [float(values.min()), float(values.max())] if share == "tensor" else None
            found = shown.evaluate(RUN, [values[0].tolist(), kind, size, share == "row", limits])
            np.testing.assert_array_equal(found, expected, f"{kind} {share}")


def test_each_control_changes_what_it_says(page: Watched, documents: Documents) -> None:
    document = documents[f"row/{WIDE}"]
    values = np.array(document["values"], np.float32)
    deviation = float(np.sqrt((values.astype(np.float64) ** 2).mean()))
    shown = page.open(f"blocks?tensor={WIDE}")
    assert WIDE in shown.locator("figure").first.inner_text()
    assert "on a grid already" in shown.locator("figure").first.inner_text()  # Q4_1

    def expected(name: str, times: int, at: int) -> tuple[str, str, str]:
        """Bits per weight, error without the outlier, weights of its block that are zero."""
        planted = values.copy()
        if times:
            planted[at] = np.float32(times * deviation)
        read = formats.get(name).dequantize(formats.get(name).quantize(planted[None]))[0]
        others = np.arange(len(values)) != at
        error = np.linalg.norm((read - planted)[others].astype(float)) / np.linalg.norm(planted[others].astype(float))
        share = formats.get(name).block_size or len(values)
        block = np.arange(len(values)) // share == at // share
        bits = 8 * formats.get(name).row_bytes(len(values)) / len(values)
        return f"{bits:.5g}", f"{100 * error:.2f}%", f"{np.count_nonzero(read[block & others] == 0):,}"

    def found() -> tuple[str, ...]:
        return tuple(page.value(name) for name in ("bits-per-weight", "error", "zeros"))

    assert found() == expected("int4_sym_g64", 20, 100)
    for size, share in (("16", "g16"), ("256", "g256"), ("the row", "row")):
        shown.get_by_role("radio", name=size, exact=True).check()
        assert found() == expected(f"int4_sym_{share}", 20, 100)
    shown.locator("[data-control=outlier]").fill("50")
    assert found() == expected("int4_sym_row", 50, 100)
    shown.locator("[data-control=bits]").fill("8")
    assert found() == expected("int8_sym_row", 50, 100)
    shown.get_by_role("radio", name="32", exact=True).check()
    shown.locator("[data-control=at]").press("PageDown")
    assert found() == expected("int8_sym_g32", 50, 90)
    shown.locator("[data-control=grid] label", has_text="asymmetric").click()
    assert found() == expected("int8_asym_g32", 50, 90)
    shown.locator("[data-control=nested]").fill("3")
    nested = document["superblock"]["nested"][1]
    assert nested["bits"] == 3
    assert page.value("nested-error") == f"{100 * nested['error']:.2f}%" and page.value("nested-bits") == "4.3125"
    assert page.value("plain-bits") == "5"
    share = shown.locator("svg[aria-label^='4 bits per weight for codes'] rect.fill").first
    assert float(share.get_attribute("x")) == 0
    assert page.value("plain-error") == f"{100 * document['superblock']['plain']['error']:.2f}%"
    shown.locator("[data-control=outlier]").fill("0")
    assert page.value("error") == page.value("error-before") == expected("int8_asym_g32", 0, 90)[1]
    shown.get_by_role("radio", name="the tensor").check()
    limits = np.zeros_like(values)
    limits[:2] = document["low"], document["high"]
    read = quantize_tensor(np.stack([values, limits]), "int8_asym_tensor", method="rtn").dequantize()[0]
    lost = np.linalg.norm((read - values).astype(float)) / np.linalg.norm(values.astype(float))
    assert page.value("error") == f"{100 * lost:.2f}%"
    assert number(page.value("overhead")) == pytest.approx((32 + 8) / math.prod(document["shape"]), rel=5e-3)
    shown.locator("[data-control=tensor]").select_option("blk.15.attn_q.weight")
    shown.locator("figcaption", has_text="of blk.15.attn_q.weight").wait_for()


def test_superblocks_lose_little_to_integer_scales() -> None:
    values = np.random.default_rng(2).standard_normal(256).astype(np.float32)
    found = superblock(values)
    errors = {n["bits"]: n["error"] for n in found["nested"]}
    plain = found["plain"]["error"]
    assert errors[2] > 1.1 * plain and abs(errors[6] - plain) < 0.03 * plain
    assert found["encoded"]["q4_k"] < found["encoded"]["q4_0"]
    assert [n["bits_per_weight"] for n in found["nested"] if n["bits"] == 6] == [formats.get("q4_k").bits_per_weight]
    assert found["plain"]["bits_per_weight"] == formats.get("q4_1").bits_per_weight
    assert all(m <= 0 for m in found["minimums"])


def test_rows_of_any_model(stories260k: Path, tmp_path: Path) -> None:
    file = gguf.open(stories260k)
    found = rows(file)
    assert found["first"] in [t["name"] for t in found["tensors"]]
    for tensor in found["tensors"]:
        one = row(file, tensor["name"])
        values = file.tensor(tensor["name"]).dequantize()
        np.testing.assert_array_equal(np.array(one["values"], np.float32), values[one["row"]])
        assert (one["low"], one["high"]) == pytest.approx((values.min(), values.max()), abs=0)
        assert one["superblock"] is None  # rows of 64 and 172 columns
        json.dumps(one, allow_nan=False)
    float32 = formats.get("float32")
    vector = float32.quantize(np.ones((1, 8)))
    gguf.write(tmp_path / "m.gguf", {}, [("v.weight", (8,), float32, lambda: vector)])
    assert rows(gguf.open(tmp_path / "m.gguf")) == {"tensors": [], "first": None}
