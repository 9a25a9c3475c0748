"""Importance: equal to llama-imatrix's on the same text; files of both kinds, and files that are refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.calibration.importance import calibrate
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.io import gguf
from bitwright.model.model import load

GOLDEN = Path(__file__).parent.parent / "golden"
# Of calibration.txt by llama-imatrix -c 128 --chunks 3 (the GGUF with --process-output), llama.cpp 11434.
BY_LLAMA_CPP = {kind: GOLDEN / f"stories260k.imatrix.{kind}" for kind in ("gguf", "dat")}
TEXT = (GOLDEN / "calibration.txt").read_text()


@pytest.fixture(scope="module")
def ours(stories260k: Path) -> ActivationStatistics:
    return calibrate(load(stories260k), [("text", TEXT)], context=128, chunks=3)


@pytest.mark.parametrize("kind", BY_LLAMA_CPP)
def test_importance_equals_llama_cpps(ours: ActivationStatistics, kind: str) -> None:
    """Within 0.1%; the largest measured difference is 0.015%. Its .dat omits the head."""
    theirs = calibration.read(BY_LLAMA_CPP[kind])
    assert theirs.chunks == ours.chunks == 3
    assert ours.squares.keys() - theirs.squares.keys() == ({"output.weight"} if kind == "dat" else set())
    for name, own in theirs.squares.items():
        np.testing.assert_allclose(ours.importance(name), own.importance, rtol=1e-3, err_msg=name)
    if kind == "gguf":
        assert {int(own.counts[0]) for own in ours.squares.values()} == {384}
        assert theirs.chunk_tokens == 128


def test_threads_and_batches_change_nothing(ours: ActivationStatistics, stories260k: Path, monkeypatch) -> None:
    monkeypatch.setattr("bitwright.calibration.importance.BATCH", 48)
    again = calibrate(load(stories260k), [("a", TEXT)], context=128, chunks=3, threads=1)
    for name in ours.squares:
        np.testing.assert_allclose(again.squares[name].sums, ours.squares[name].sums, rtol=1e-4)


def test_an_interrupted_run_continues(
    ours: ActivationStatistics, stories260k: Path, tmp_path: Path, monkeypatch
) -> None:
    """A second run reads only what is left, a different text is refused, and no partial file stays behind."""
    monkeypatch.setattr("bitwright.calibration.importance.SAVE_SECONDS", 0)
    output, seen = tmp_path / "s.gguf", []

    def stop(done: float, *rest: object) -> None:
        seen.append(done)
        if seen == [1, 2]:
            raise KeyboardInterrupt

    def go(text: str) -> ActivationStatistics:
        return calibrate(load(stories260k), [("text", text)], 128, 3, stop, output)

    with pytest.raises(KeyboardInterrupt):
        go(TEXT)
    assert not output.exists()
    with pytest.raises(UsageError, match="an unfinished calibration with another"):
        go(TEXT[1:])
    found = go(TEXT)
    assert seen == [1, 2, 3] and list(tmp_path.iterdir()) == [output]
    for name, own in ours.squares.items():
        np.testing.assert_allclose(found.squares[name].sums, own.sums, rtol=1e-12)
        assert found.squares[name].counts == own.counts
        np.testing.assert_allclose(calibration.read(output).importance(name), ours.importance(name), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["gguf", "dat"])
def test_files_are_read_back(tmp_path: Path, suffix: str) -> None:
    """No token reached one of the three experts: its importance is the mean of the others'."""
    random = np.random.default_rng(0)
    sums = random.random((3, 64)) * [[1024], [0], [512]]
    experts = SquareSums(sums, np.array([1024, 0, 512]))
    plain = SquareSums(random.random((1, 32)) * 512, np.array([512]))
    written = ActivationStatistics({"blk.0.ffn_up_exps.weight": experts, "output.weight": plain}, ("a.txt",), 2, 512)
    calibration.write(tmp_path / f"s.{suffix}", written)
    found = calibration.read(tmp_path / f"s.{suffix}")
    assert (found.texts, found.chunks, found.chunk_tokens) == (("a.txt",), 2, 512)
    for name, own in written.squares.items():
        got = found.importance(name)
        assert got is not None
        np.testing.assert_allclose(got.ravel(), own.importance.ravel(), rtol=1e-6)
    np.testing.assert_allclose(experts.importance[1], (sums[0] / 1024 + sums[2] / 512) / 2, rtol=1e-6)
    assert (SquareSums(np.zeros((2, 8)), np.zeros(2, np.int64)).importance == 1).all()


NAMES = {"datasets": "texts", "chunk_count": "chunks"}


def gguf_file(path: Path, **changes: object) -> Path:
    """An imatrix of one weight with `changes` made to it."""
    sums = changes.get("sums", np.ones((1, 32)))
    metadata = {"general.type": changes.get("type", "imatrix")}
    metadata |= {f"imatrix.{key}": changes[name] for key, name in NAMES.items() if name in changes}
    tensors = {"w.in_sum2": sums, "w.counts": changes.get("counts", np.ones((1, 1)))}
    kept = {name: values for name, values in tensors.items() if values is not None}
    made = [(n, v.shape, formats.get("f32"), lambda v=v: v.astype(np.float32)) for n, v in kept.items()]
    gguf.write(path, metadata, made)
    return path


def dat(*parts: bytes | int) -> bytes:
    return b"".join(struct.pack("<i", part) if isinstance(part, int) else part for part in parts)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a model": (lambda p: gguf_file(p, type="model"), "general.type to be imatrix, got string 'model'"),
    "a number for its texts": (lambda p: gguf_file(p, texts=7), "datasets to be an array of strings, got uint32 7"),
    "a text for its chunks": (lambda p: gguf_file(p, chunks="7"), "chunk_count to be a whole number"),
    "more than can be counted": (lambda p: gguf_file(p, counts=np.full((1, 1), 1e30)), "a count for each"),
    "no counts": (lambda p: gguf_file(p, counts=None), "counts with the sums of w, got none"),
    "counts of others": (lambda p: gguf_file(p, counts=np.ones((3, 1))), "a count for each of the 1 rows of w"),
    "a count that is no number": (lambda p: gguf_file(p, counts=np.full((1, 1), np.inf)), "a count for each"),
    "negative": (
        lambda p: gguf_file(p, sums=np.full((1, 32), -1.0)),
        "sums of squares of w that are finite and at least 0",
    ),
    "not a number": (lambda p: gguf_file(p, sums=np.full((1, 32), np.nan)), "sums of squares of w"),
    "empty": (lambda p: p.write_bytes(b""), "byte 0: expected entries, got the end"),
    "cut off": (lambda p: p.write_bytes(dat(1, 1, b"w", 3, 8, b"1234")), "the values of w, got the end"),
    "no entries": (lambda p: p.write_bytes(dat(0)), "byte 0: expected entries: 1 to"),
    "an endless name": (lambda p: p.write_bytes(dat(1, 1 << 30)), "the length of a tensor's name: 0 to 4096"),
    "values without end": (lambda p: p.write_bytes(dat(1, 1, b"w", 3, -8)), "values of w: 1 to"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    spoil, message = HOSTILE[name]
    spoil(tmp_path / "s")
    with pytest.raises(FileFormatError, match=message):
        calibration.read(tmp_path / "s")


def test_statistics_of_another_model_are_refused(ours: ActivationStatistics, smollm2: Path) -> None:
    tensors = gguf.open(smollm2).tensors
    with pytest.raises(BitwrightError, match=r"s\.gguf: blk\.0\.attn_k\.weight needs statistics of shape \(1, 576\)"):
        ours.fitted(tensors, "s.gguf")
    with pytest.raises(BitwrightError, match="expected statistics of this model's tensors, got w"):
        ActivationStatistics({"w": ours.squares["output.weight"]}).fitted(tensors, "s.gguf")


def test_a_text_shorter_than_a_chunk_is_refused(stories260k: Path) -> None:
    with pytest.raises(UsageError, match="every text is shorter than a chunk of 128 tokens"):
        calibrate(load(stories260k), [("short", "Once")], context=128)
