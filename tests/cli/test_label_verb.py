"""`bitwright label` and `bitwright audit`."""

from __future__ import annotations

import math

import pytest

from bitwright.io import gguf
from bitwright.io import label as labels

pytestmark = pytest.mark.usefixtures("cache")


def test_a_label_is_written_and_audited(bitwright, quantized, stories260k, text, tmp_path) -> None:
    on = ["--reference", stories260k, "-f", text, "-c", "128"]
    done = bitwright("label", quantized / "q4_0.gguf", *on, "-o", tmp_path / "l.gguf")
    assert done.code == 0 and "kl_divergence.mean  0.1" in done.out
    good = bitwright("audit", tmp_path / "l.gguf", *on)
    for shown, name in ((done.out, "q4_0.gguf"), (good.out, "l.gguf")):
        assert f"{name}: clearly" in shown and "damaged: one token in " in shown
    assert good.code == 0 and "the label holds" in good.out

    # A label without intervals, as earlier versions wrote it: elsewhere it can be neither confirmed nor refuted.
    file = gguf.open(tmp_path / "l.gguf")
    values = labels.read(file).values | {"kl_divergence.low": math.nan, "kl_divergence.high": math.nan}
    labels.write(file, labels.Label(values), tmp_path / "old.gguf")
    assert "the label holds" in bitwright("audit", tmp_path / "old.gguf", *on).out
    elsewhere = bitwright("audit", tmp_path / "old.gguf", *on[:-1], "64")
    assert elsewhere.code == 1 and "only the text and the chunks it was measured on" in elsewhere.err


def test_what_needs_no_measurement_is_said_before_it(bitwright, quantized, stories260k, text, tmp_path, cache) -> None:
    """No label, or one of other weights: nothing is computed, and the exit code is that of a label that fails."""
    on = ["--reference", stories260k, "-f", text, "-c", "128"]
    bare = bitwright("audit", quantized / "q8_0.gguf", *on, "--json")
    assert bare.code == 1 and bare.json["holds"] is False and "no label" in bare.json["complaints"][0]
    assert bare.json["report"] is None and not list(cache.rglob("*.npz"))
    assert "does not hold: the file has no label" in bitwright("audit", quantized / "q8_0.gguf", *on).out


def test_another_reference_is_found_before_measuring(bitwright, quantized, stories260k, text, tmp_path, cache) -> None:
    file = gguf.open(quantized / "q4_0.gguf")
    values = (
        dict.fromkeys(labels.NUMBERS, 1.0) | {"context": 128, "chunks": 12} | dict.fromkeys(labels.HASHES, "0" * 64)
    )
    values["tensors_sha256"] = labels.sha256_of_tensors(file)
    labels.write(file, labels.Label(values), tmp_path / "l.gguf")
    other = bitwright("audit", tmp_path / "l.gguf", "--reference", stories260k, "-f", text)
    assert other.code == 1 and "the reference is not the file that the label names" in other.out
    assert not list(cache.rglob("*.npz"))


def test_a_label_needs_intervals(bitwright, quantized, stories260k, text, tmp_path, cache) -> None:
    """Refused in one line that says how much text is needed, before anything is measured and written."""
    short = tmp_path / "short.txt"
    short.write_text(text.read_text()[:1500])
    on = ["--reference", stories260k, "-f", short, "-c", "128"]
    refused = bitwright("label", quantized / "q4_0.gguf", *on, "-o", tmp_path / "l.gguf")
    assert refused.code == 2 and refused.err.count("\n") == 1 and not list(tmp_path.rglob("l.gguf"))
    assert (
        "at least 10 chunks of 128 tokens, about " in refused.err and "use more text or shorter chunks" in refused.err
    )
    assert not list(cache.rglob("*.npz"))
