"""Single sources of error, each against a model assembled by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.engine import load
from bitwright.errors import UsageError
from bitwright.measure import attribution, next_token, reference
from bitwright.measure.attribution import attribute
from bitwright.quantizers import quantize


@pytest.fixture(scope="module")
def text(data):
    return (data / "text/tinystories/tiny.utf8").read_text()


@pytest.fixture(scope="module")
def shares(stories260k, text, tmp_path_factory):
    path = tmp_path_factory.mktemp("attribution") / "q4_0.gguf"
    quantize(stories260k, "q4_0", path)
    return path, attribute(load(stories260k), load(path), text)


def test_each_source_is_measured_alone(shares) -> None:
    found = {share.name: share.divergence.estimate for share in shares[1]}
    assert list(found)[:6] == ["weights", "activations in int8", "activations as llama.cpp", "cache in q8_0",
                               "weights and activations", "all together"]  # fmt: skip
    assert found["weights"] > 20 * found["activations in int8"] > 0
    assert found["weights"] > found["activations as llama.cpp"] > found["activations in int8"]
    assert found["weights"] > 20 * found["cache in q8_0"] > 0
    assert found["weights and activations"] == pytest.approx(found["weights"], rel=0.1)
    kinds = [share for share in shares[1] if share.kind == "tensors"]
    assert {"attn_q", "attn_v", "ffn_up", "token_embd"} <= {share.name for share in kinds}
    means = [share.divergence.estimate for share in kinds]
    assert means == sorted(means, reverse=True) and 0 < means[-1] < means[0] < found["weights"]
    assert all(share.bytes > 0 and share.divergence.ends for share in kinds)


def test_weights_alone_equal_the_decoded_file(shares, stories260k, text, tmp_path) -> None:
    path, found = shares
    quantize(path, "f32", tmp_path / "decoded.gguf")
    base = load(stories260k)
    store = reference.store_reference(base, attribution.windows_of(base, text), tmp_path / "store")
    scores = next_token.score_tokens(load(tmp_path / "decoded.gguf"), store)
    assert found[0].divergence.estimate == pytest.approx(scores.divergences.mean(), rel=1e-6)


def test_one_kind_of_tensor_is_swapped(shares, stories260k) -> None:
    base, other = load(stories260k).model.tensors, load(shares[0]).model.tensors
    mixed = attribution.decoded(base, other, "ffn_up")
    for name in ("blk.0.ffn_up.weight", "blk.0.ffn_gate.weight"):
        own = (other if "ffn_up" in name else base)[name].dequantize()
        np.testing.assert_array_equal(mixed[name].dequantize(), own)
        assert mixed[name].format.name == "float32"


def test_another_model_has_no_attribution(stories260k, smollm2, text) -> None:
    with pytest.raises(UsageError, match="their tensors differ"):
        attribute(load(stories260k), load(smollm2), text)
