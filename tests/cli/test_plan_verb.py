"""`bitwright plan`: the keys that scripts rely on, one screen, and one-line errors."""

from __future__ import annotations

import json

import pytest

from bitwright.hardware import devices
from bitwright.model.architectures import published

KEYS = {"device", "recipe", "context", "weights_bytes", "kv_bytes", "compute_bytes", "total_bytes", "fits"}
KEYS |= {"file_bytes", "decode", "prefill", "price", "longest_context", "quality", "left_bytes"}


def test_rows_have_the_documented_keys(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "-c", 4096, "--json")
    assert outcome.code == 0
    rows = outcome.json["rows"]
    assert [row["recipe"] for row in rows][:3] == ["f16", "q8_0", "q6_k"]
    for row in rows:
        assert row.keys() >= KEYS and row["context"] == 4096 and row["quality"] == "not measured"
        parts = ("weights_bytes", "kv_bytes", "compute_bytes", "overhead_bytes")
        assert row["total_bytes"] == sum(row[part] for part in parts)
        assert row["decode"].keys() == row["prefill"].keys() == {"tokens_per_second", "low", "high"}
        assert row["price"].keys() >= {"usd", "date", "source"} and row["price"]["usd"] == 700


def test_the_table_fits_a_screen(bitwright) -> None:
    outcome = bitwright(
        "plan", "--shape", "llama-3.1-8b", "--device", "rtx-3060-12gb", "--recipe", "q8_0", "--recipe", "bf16"
    )
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 125 and len(lines) < 25
    assert "8.5 GB" in outcome.out and "  yes  " in outcome.out and "23 layers" in outcome.out
    assert "quality: not measured" in lines
    assert "8% (decode)" in outcome.err


@pytest.mark.parametrize(
    "asked",
    [
        ["--shape", "gpt-oss-20b", "--device", "3090", "--device", "3060"],
        ["--shape", "qwen3-8b", "--budget", "1000"],
        ["--models", "--device", "3060"],
        ["--devices"],
    ],
    ids=lambda asked: " ".join(asked[:2]),
)
def test_eighty_columns_do_not_break_a_row(bitwright, monkeypatch, asked) -> None:
    """Less important columns are left out and named; every row stays on one line."""
    monkeypatch.setenv("COLUMNS", "80")
    few = {id: published.models()[id] for id in ("qwen3-8b", "gpt-oss-20b", "qwen3.6-35b-a3b", "smollm2-135m")}
    monkeypatch.setattr(published, "models", lambda: few)
    outcome = bitwright("plan", *asked)
    lines = outcome.out.splitlines()
    assert outcome.code == 0 and max(map(len, lines)) <= 80
    (start,) = [i for i, line in enumerate(lines) if "decode t/s" in line or "GB/s  " in line][:1]
    rows = lines[start + 1 : lines.index("", start) if "" in lines[start:] else None]
    assert rows and all(len(row.split("  ")) > 4 and not row.startswith(" ") for row in rows)
    assert "left out to fit 80 columns" in outcome.err


def test_file_bytes_are_those_on_disk(bitwright, stories260k, tmp_path) -> None:
    from bitwright.quantizers import quantize

    quantize(stories260k, "q8_0", tmp_path / "made.gguf", method="rtn")
    rows = bitwright("plan", stories260k, "--device", "3090", "-c", 256, "--json").json["rows"]
    sizes = {row["recipe"]: row["file_bytes"] for row in rows}
    assert sizes["as stored"] == stories260k.stat().st_size and all(row["file_bytes_exact"] for row in rows)
    assert sizes["q8_0"] == (tmp_path / "made.gguf").stat().st_size
    arguments = ("plan", "--shape", "llama-3.1-8b", "--device", "3090", "--recipe", "q4_k_m")
    (row,) = bitwright(*arguments, "--json").json["rows"]
    assert row["file_bytes"] == pytest.approx(4920733984, rel=1e-4) and not row["file_bytes_exact"]
    outcome = bitwright(*arguments)
    assert "4.9 GB" in outcome.out and "the tokenizer's part of a file is estimated" in outcome.err


def test_no_speed_has_a_reason(bitwright) -> None:
    arguments = ["plan", "--shape", "gpt-oss-20b", "--device", "rtx-3060-12gb"]
    row = bitwright(*arguments, "--json").json["rows"][1]
    assert row["decode"] is None and row["layers_on_device"] == 22
    assert "no speed for a format that does not fit; with some layers in" in row["no_speed_because"]
    assert row["no_speed_because"] in bitwright(*arguments).err


def test_experts_in_the_computers_memory(bitwright) -> None:
    """A mixture too large for the GPU runs with some experts on the CPU; faster memory or more GPU makes it faster."""
    arguments = ["plan", "--shape", "qwen3-30b-a3b", "--recipe", "q4_k_m", "--device", "rtx-3060-12gb"]
    (row,) = bitwright(*arguments, "--json").json["rows"]
    assert row["decode"] is None and row["experts_on_host"]["layers"] == 20
    assert row["experts_on_host"]["decode"] is None
    outcome = bitwright(*arguments)
    assert "n-cpu-moe 20" in outcome.out and "--host CPU predicts" in " ".join(outcome.err.split())

    def rate(host: str, *more: str) -> float:
        (row,) = bitwright(*arguments, "--host", host, *more, "--json").json["rows"]
        return row["experts_on_host"]["decode"]["tokens_per_second"]

    assert rate("ryzen-9-5950x") < rate("ryzen-9-9950x")
    assert rate("ryzen-9-5950x", "--memory", "8GB") < rate("ryzen-9-5950x")
    assert "36.7" in bitwright(*arguments, "--host", "5950x").out


def test_a_host_is_a_processor(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "qwen3-30b-a3b", "--device", "3060", "--host", "3090")
    assert outcome.code == 2 and "expected one CPU, found rtx-3090-24gb" in outcome.err


def test_a_published_folder_without_weights(bitwright, tmp_path) -> None:
    """The folder has no weights and needs none: config.json describes them."""
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes |= {"intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 4096}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **sizes}))
    outcome = bitwright("plan", tmp_path, "--device", "rtx-3060-12gb", "-c", 2048, "--recipe", "q8_0", "--json")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.json["rows"]
    assert row["fits"] and row["kv_bytes"] == 2 * 2 * 2 * 16 * 2 * 2048 and row["quality"] == "not measured"


def test_a_shape_takes_precedence_over_a_cached_file(bitwright) -> None:
    arguments = ("--shape", "smollm2-135m", "--device", "rtx-3060-12gb", "-c", 512, "--json")
    rows = bitwright("plan", *arguments).json["rows"]
    assert rows[0]["recipe"] == "f16"  # the alias's file is Q4_1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "either MODEL or --shape"),
        (["x.gguf", "--shape", "llama-3.1-8b"], "either MODEL or --shape"),
        (["--shape", "llama-3.1-9b"], "did you mean llama-3.1-8b"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3050"], "did you mean rtx-30"),
        (["--shape", "foo"], "did you mean"),
        (["--shape", "llama-3.1-8b", "--device", "3090", "-c", "many"], "8192 or 32k, got 'many'"),
        (["--shape", "llama-3.1-8b", "--device", "3090", "-c", "4"], "at least 8 tokens"),
        (["--shape", "llama-3.1-8b", "--device", "3090", "-c", "1" + "0" * 18], "at most 1024m, such as 8192 or 32k"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--recipe", "q4_k_x"], "q4_k_m"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "-c", "999999"], "trained on 131072"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--kv", "q3"], "q8_0"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--memory", "many"], "such as 24GB"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--memory", "12000"], "such as 24GB"),
        (["--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--watts", "300"], "belong together"),
        (["--devices", "--models"], "different questions"),
    ],
)
def test_usage_errors_are_one_line(bitwright, arguments, complaint) -> None:
    outcome = bitwright("plan", *arguments)
    assert outcome.code == 2 and not outcome.out
    assert complaint in outcome.err and outcome.err.count("\n") == 1 and len(outcome.err) < 200


def test_names_and_sizes_as_people_type_them(bitwright) -> None:
    arguments = ["plan", "--shape", "Llama3.1:8B", "--device", "3090", "--device", "rtx-3090-24gb", "--recipe", "q8_0"]
    (row,) = bitwright(*arguments, "-c", "32k", "--memory", 12, "--json").json["rows"]
    assert (row["device"], row["context"], row["capacity_bytes"]) == ("rtx-3090-24gb", 32768, 12 * 10**9)
    assert bitwright(*arguments, "--memory", "12GB").out == bitwright(*arguments, "--memory", "12").out


def test_devices_show_the_basis_of_each_number(bitwright) -> None:
    table = bitwright("plan", "--devices")
    assert table.code == 0 and all(name in table.out for name in devices.built_in())
    rows = {row["id"]: row for row in bitwright("plan", "--devices", "--json").json["devices"]}
    assert len(rows) >= 87
    assert rows["rtx-3090-24gb"]["bandwidth_bytes_per_second"] == 936e9
    assert {row["bandwidth_standing"] for row in rows.values()} <= {"read", "computed", "general knowledge"}


def test_budget(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "llama-3.1-8b", "--budget", 900, "--json")
    rows = outcome.json["rows"]
    gains = [row["tokens_per_second_per_1000_usd"] for row in rows]
    assert gains == sorted(gains, reverse=True) and len(rows) >= 5
    assert all(row["price"]["usd_low"] <= 900 and row["price"]["date"] and row["price"]["source"] for row in rows)
    table = bitwright("plan", "--shape", "llama-3.1-8b", "--budget", 900)
    assert "$500-900 used" in table.out
    assert f"prices of 11 devices are known, {len(devices.built_in()) - 11} others are left out" in table.err
    nothing = bitwright("plan", "--shape", "llama-3.1-8b", "--budget", 20)
    assert nothing.code == 1 and "no device sold for 20 dollars fits" in nothing.err


def test_price_of_a_million_tokens(bitwright) -> None:
    arguments = ["plan", "--shape", "llama-3.1-8b", "--device", "rtx-3090-24gb", "--recipe", "q4_k_m"]
    costs = ["--watts", 350, "--kwh-price", 0.3, "--price", 900]
    row = bitwright(*arguments, *costs, "--json").json["rows"][0]
    power, purchase = 0.35 * 0.3 / 3600, 900 / (3 * 365 * 24 * 3600)
    expected = (power + purchase) / row["decode"]["tokens_per_second"] * 1e6
    assert row["usd_per_million_tokens"] == pytest.approx(expected, rel=1e-3)
    assert f"{expected:.3f}" in bitwright(*arguments, *costs).out


def test_a_file_on_this_machine(bitwright, stories260k, machine, monkeypatch) -> None:
    monkeypatch.setattr("bitwright.hardware.machine.this_machine", lambda **_: machine)
    outcome = bitwright("plan", stories260k, "--kv", "q8_0", "--json")
    row = outcome.json["rows"][0]
    assert (row["device"], row["recipe"], row["fits"]) == ("this-machine", "as stored", True)
    assert row["weights_bytes"] < stories260k.stat().st_size
    text = bitwright("plan", stories260k)
    assert text.code == 0 and "rates measured on 2026-11-24" in text.err


def test_the_label_shows_what_was_lost(bitwright, labelled, machine, monkeypatch) -> None:
    monkeypatch.setattr("bitwright.hardware.machine.this_machine", lambda **_: machine)
    row = bitwright("plan", labelled, "--json").json["rows"][0]
    assert row["quality"] == "KL 0.0123 nats, same top 95.0% (label)"
    assert json.dumps(row)


@pytest.fixture
def labelled(stories260k, tmp_path):
    """The model with a label that states its loss."""
    from bitwright.io import gguf, label

    numbers = {name: 1 if kind == "uint32" else 0.5 for name, kind in label.NUMBERS.items()}
    values = numbers | dict.fromkeys(label.HASHES, "0") | {"kl_divergence.mean": 0.0123, "same_top1": 0.95}
    path = tmp_path / "labelled.gguf"
    label.write(gguf.open(stories260k), label.Label(values), path)
    return path


def test_a_user_device_without_rates_has_no_speeds(bitwright, tmp_path) -> None:
    own = {"id": "mine", "name": "Mine", "vendor": "acme", "kind": "gpu", "memory_gib": 24, "bandwidth_gb_s": 900}
    half = {"peak": 120, "basis": "datasheet", "unit": "tensor", "instruction": "mma f16"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(own | {"compute": {"fp16": half}, "sources": ["a datasheet"]}))
    arguments = ["plan", "--shape", "llama-3.1-8b", "--device", path, "--recipe", "q8_0"]
    row = bitwright(*arguments, "--json").json["rows"][0]
    assert row["fits"] and row["decode"] is None and row["prefill"] is None
    outcome = bitwright(*arguments)
    assert outcome.code == 0 and outcome.err.count("mine: its float32 rate is not known") == 1
