"""`bitwright bench`."""

from __future__ import annotations

import pytest

from bitwright.cli.profile_table import surprises


def test_bench_keys(bitwright, small) -> None:
    found = bitwright("bench", small, "-p", "16", "-n", "4", "-d", "8", "-r", "1", "-t", "1", "--json").json
    assert found["threads"] == 1 and found["tier"]
    assert {"read_gb_s", "int8_gop_s", "bf16_gflop_s", "float32_gflop_s"} <= set(found["limits"])
    assert all(value > 0 for value in found["limits"].values())
    assert found["prefill"]["tokens"] == 16 and found["prefill"]["tokens_per_second"] > 0
    assert found["prefill"]["share_of_limit"] > 0
    assert found["decode"]["depth"] == 8 and found["decode"]["tokens_per_second"] > 0
    assert found["decode"]["share_of_limit"] > 0
    shown = bitwright("bench", small, "-p", "16", "-n", "4", "-r", "1").out
    assert "tokens/s" in shown and "GB/s" in shown


def test_bench_explains(bitwright, small) -> None:
    short = ["-p", "16", "-n", "4", "-r", "1", "-t", "1", "--explain"]
    found = bitwright("bench", small, *short, "--json").json["explain"]
    for name in ("decode", "prefill"):
        lines = found[name]["operations"]
        assert 0 < sum(line["share_of_time"] for line in lines) <= 1
        for line in lines:
            assert line["gb_s"] == pytest.approx(line["bytes"] / line["seconds"] / 1e9)
            share = line["gb_s"] / found[name]["limits"]["read_gb_s"]
            assert line["share_of_read"] == pytest.approx(share)
    assert {(c["format"], c["decode"]) for c in found["coverage"]} == {("q8_0", "integer dot"), ("float16", "float")}
    own = next(c for c in found["formats"] if c["format"] == "q8_0")
    assert sum(c["share_of_weights"] for c in found["formats"]) == pytest.approx(1)
    assert own["bound_by"] in ("memory", "unpacking")
    assert own["memory_gb_s"] == pytest.approx(own["read_bits"] / 8 / own["ns_per_weight"])
    shown = bitwright("bench", small, *short).out
    assert all(text in shown for text in ("ffn gate up", "q8_0", "bound by", "integer dot"))


def test_unpacking_is_blamed_only_where_it_takes_longer() -> None:
    def timed(name: str, ns: float, unpacking: float) -> dict[str, object]:
        return {"format": name, "share_of_weights": 0.5, "read_bits": 4.5, "ns_per_weight": ns,
                "unpack_ns_per_weight": unpacking}  # fmt: skip

    (slow,) = surprises([timed("q4_0", 0.05, 0.02), timed("q4_1", 0.04, 0.01)])
    assert slow.endswith("unpacking takes 0.0200 ns instead of 0.0100.")
    (noisy,) = surprises([timed("q4_0", 0.05, 0.01), timed("q4_1", 0.04, 0.01)])
    assert noisy.endswith("unpacking, which takes no longer, does not explain it.")
    assert not surprises([timed("q4_0", 0.03, 0.01), timed("q4_1", 0.04, 0.01)])
