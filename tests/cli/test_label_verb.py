"""`bitwright label` and `bitwright audit`."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("cache")


def test_a_label_is_written_and_audited(bitwright, quantized, stories260k, text, tmp_path) -> None:
    on = ["--reference", stories260k, "-f", text, "-c", "128"]
    done = bitwright("label", quantized / "q4_0.gguf", *on, "-o", tmp_path / "l.gguf")
    assert done.code == 0 and "kl_divergence.mean  0.1" in done.out
    good = bitwright("audit", tmp_path / "l.gguf", *on)
    for shown, name in ((done.out, "q4_0.gguf"), (good.out, "l.gguf")):
        assert f"{name}: clearly" in shown and "damaged: one token in " in shown
    assert good.code == 0 and "the label holds" in good.out
    bare = bitwright("audit", quantized / "q8_0.gguf", *on, "--json")
    assert bare.code == 1 and bare.json["holds"] is False and "no label" in bare.json["complaints"][0]
