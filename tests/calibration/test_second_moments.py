"""Second moments: what they are of, that they survive files and interruptions, and files that are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_model

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SecondMoment, SquareSums
from bitwright.calibration import second_moments as gathering
from bitwright.calibration.importance import calibrate
from bitwright.calibration.moments import pack
from bitwright.calibration.second_moments import gather
from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError, UsageError
from bitwright.io import gguf
from bitwright.kernels.ops import Attention, Call, Rope
from bitwright.kernels.tape import Tape
from bitwright.model.model import Model, load

GOLDEN = Path(__file__).parent.parent / "golden"
TEXTS = [("calibration.txt", (GOLDEN / "calibration.txt").read_text())]
CONTEXT, CHUNKS = 64, 3


@pytest.fixture(scope="module")
def model(stories260k: Path) -> Model:
    return load(stories260k)


@pytest.fixture(scope="module")
def fisher(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ActivationStatistics:
    return gather(model, TEXTS, tmp_path_factory.mktemp("fisher") / "s.gguf", CONTEXT, CHUNKS)


@pytest.fixture(scope="module")
def plain(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ActivationStatistics:
    return gather(model, TEXTS, tmp_path_factory.mktemp("plain") / "s.gguf", CONTEXT, CHUNKS, fisher=False)


def same(a: ActivationStatistics, b: ActivationStatistics) -> bool:
    """To the last bit."""
    assert a.squares.keys() == b.squares.keys() and [m.weights for m in a.moments] == [m.weights for m in b.moments]
    return (
        all(np.array_equal(a.squares[name].sums, b.squares[name].sums) for name in a.squares)
        and all(np.array_equal(x.packed(), y.packed()) for x, y in zip(a.moments, b.moments, strict=True))
        and all(np.array_equal(a.sensitivities[name], b.sensitivities[name]) for name in a.sensitivities)
    )


def rounded_attention(op: Attention, call: Call, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """With keys and values as the engine's cache holds them, in float16."""
    return over_text(op, call, q, *(x.astype(np.float16).astype(np.float32) for x in (k, v)))


over_text = Attention.over_text


def test_importance_is_what_calibrate_gathers(
    model: Model,
    plain: ActivationStatistics,
    fisher: ActivationStatistics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for what the engine's cache rounds, .27% at worst, .01% in the middle; rounding likewise, .002%: where a
    last bit decides how a value that all tokens look at is rounded, that moves by 2**-10 and its square by .2%."""
    expected = calibrate(model, TEXTS, CONTEXT, CHUNKS)
    monkeypatch.setattr(Attention, "over_text", rounded_attention)
    rounded = gather(model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS, fisher=False)
    for found, worst, usual in ((plain, 5e-3, 2e-4), (fisher, 5e-3, 2e-4), (rounded, 2e-3, 4e-5)):
        assert found.squares.keys() == expected.squares.keys()
        assert all(own.counts == [CONTEXT * CHUNKS] for own in found.squares.values())
        ratios = [found.squares[name].importance / own.importance for name, own in expected.squares.items()]
        errors = np.abs(np.concatenate(ratios, axis=1) - 1)
        assert errors.max() < worst and np.median(errors) < usual
    assert (found.texts, found.chunks, found.chunk_tokens) == (("calibration.txt",), CHUNKS, CONTEXT)


def test_the_diagonal_of_plain_moments_is_the_importance(plain: ActivationStatistics) -> None:
    assert {m.weighting for m in plain.moments} == {"plain"} and not plain.sensitivities
    for name in plain.squares:
        matrix, importance = plain.hessian(name), plain.importance(name)
        assert matrix is not None and importance is not None
        np.testing.assert_allclose(np.diagonal(matrix, axis1=1, axis2=2), importance, rtol=1e-5, err_msg=name)
        assert np.linalg.eigvalsh(matrix[0]).min() > -1e-5 * matrix[0].trace()
    assert plain.hessian("token_embd.weight") is None  # it needs gradients


def test_weights_that_read_one_input_share_a_moment(fisher: ActivationStatistics) -> None:
    shared = {m.weights for m in fisher.moments if m.weights[0].startswith("blk.1.")}
    names = [("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",)]
    assert shared == {tuple(f"blk.1.{name}.weight" for name in own) for own in names}
    assert fisher.hessian("blk.9.attn_q.weight") is None and fisher.sensitivity("blk.9.attn_q.weight") is None


def test_fisher_moments_are_a_direct_sum_over_tokens(model: Model, fisher: ActivationStatistics) -> None:
    """Token by token in float64, from what the tape shows; the labels are drawn as `gather` draws them."""
    squares: dict[str, Any] = {}
    tape = Tape(
        model.step,
        lambda name, rows: model.tensors[name].dequantize()[slice(None) if rows is None else rows],
    )

    def visit(op: Any, inputs: list[np.ndarray], gradient: np.ndarray) -> None:
        if op.kind == "linear":
            squares[op.weights[0]] = (gradient.astype(np.float64) ** 2, inputs[0].astype(np.float64))

    names = ("blk.2.attn_q.weight", "blk.2.attn_k.weight", "blk.2.attn_v.weight")
    moment, total, sensitivity = 0.0, 0.0, 0.0
    for number, piece in enumerate(gathering.cut(model, TEXTS, CONTEXT, CHUNKS)):
        draws = np.random.default_rng([0, number]).random(CONTEXT, np.float32)
        tape.gradients(piece, lambda rows, logits, draws=draws: gathering._of_labels(draws, rows, logits), visit)
        for token in range(CONTEXT):
            x = squares[names[0]][1][token]
            f = sum(squares[name][0][token].sum() for name in names)
            moment, total = moment + f * np.outer(x, x), total + f
        sensitivity = sensitivity + squares[names[1]][0].sum(axis=0)
    for name in names:
        direct = moment / total
        np.testing.assert_allclose(fisher.hessian(name)[0], direct, rtol=1e-4, atol=1e-6 * direct.max())
    np.testing.assert_allclose(fisher.sensitivity(names[1])[0], sensitivity / (CONTEXT * CHUNKS), rtol=1e-4)


def test_labels_are_drawn_from_the_prediction() -> None:
    """Of 20000 draws, each label as often as its probability says, within five standard deviations; and the gradient
    is that of log p, by finite differences."""
    rng = np.random.default_rng(0)
    logits = np.tile(rng.standard_normal(7), (20000, 1))
    draws = rng.random(20000, np.float32)
    found = gathering._of_labels(draws, slice(0, 20000), logits)
    p = np.exp(logits[0]) / np.exp(logits[0]).sum()
    labels = (found > 0).argmax(axis=1)
    np.testing.assert_allclose(found, np.eye(7)[labels] - p, atol=1e-12)
    shares = np.bincount(labels, minlength=7) / 20000
    assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / 20000)).all()


def test_an_embedding_of_its_own_has_the_gradient_covariance(tmp_path: Path) -> None:
    """A tied one has what the head has."""
    for tied in (False, True):
        metadata = synthetic_model.metadata_of("gemma3")
        weights = synthetic_model.weights_of(metadata, tied=tied)
        path = synthetic_model.write(tmp_path / f"{tied}.gguf", metadata, weights)
        model = load(path)
        model.__dict__["tokenizer"] = Letters()
        found = gather(model, [("a", "abcdefgh" * 8)], tmp_path / f"{tied}.s.gguf", 32)
        moment = found.moment("token_embd.weight")
        assert moment is not None and moment.weighting == ("fisher" if tied else "gradient")
        matrix, squares = found.hessian("token_embd.weight"), found.sensitivity("token_embd.weight")
        assert matrix is not None and squares is not None
        scale = math.sqrt(model.config.width)
        if not tied:
            np.testing.assert_allclose(np.diagonal(matrix[0]), squares[0] * scale**2, rtol=1e-4)
        assert squares.shape == ((1, synthetic_model.VOCABULARY) if tied else (1, synthetic_model.WIDTH))


@pytest.fixture(scope="module")
def all_of_it(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ActivationStatistics:
    return gather(model, TEXTS, tmp_path_factory.mktemp("all") / "s.gguf", CONTEXT)


@pytest.mark.parametrize(
    ("name", "low"),
    {"blk.0.attn_q": 0.8, "blk.0.attn_v": 0.4, "blk.1.attn_output": 0.8, "blk.4.ffn_down": 0.8, "output": 0.8,
     "token_embd": 0.8}.items(),
)  # fmt: skip
def test_they_foretell_what_an_error_costs(
    model: Model, all_of_it: ActivationStatistics, name: str, low: float
) -> None:
    """KL per token of a small random error e in a weight's rows: half the sum of sensitivity * e H e', or for a row of
    the embedding its share of the tokens * e H e'. Measured .95 to 1.06 of it; .57 for values, whose errors many tokens
    have in common, which a sum over single tokens does not see."""
    name, pieces = f"{name}.weight", gathering.cut(model, TEXTS, CONTEXT, None)
    weights = {own: tensor.dequantize().astype(np.float64) for own, tensor in model.tensors.items()}
    tape = Tape(model.step, lambda own, rows: weights[own] if rows is None else weights[own][rows], np.float64)

    def predictions() -> np.ndarray:
        logits = np.stack([np.concatenate([part for _, part in tape.logits(piece)]) for piece in pieces])
        logits -= logits.max(axis=-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

    before = predictions()
    error = np.random.default_rng(0).standard_normal(weights[name].shape) * weights[name].std() * 0.02
    weights[name] = weights[name] + error
    cost = (np.exp(before) * (before - predictions())).sum(axis=-1).mean()
    matrix, shares = all_of_it.hessian(name), all_of_it.sensitivity(name)
    assert matrix is not None and shares is not None
    by_row = np.bincount(pieces.ravel(), minlength=len(error)) / pieces.size if "embd" in name else shares[0]
    foretold = 0.5 * np.sum(by_row * np.einsum("ri,ij,rj->r", error, matrix[0], error, optimize=True))
    assert low * cost < foretold < 1.2 * cost


class Letters:
    """Stands for a tokenizer: each byte is its id."""

    add_bos, bos = False, None

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


def test_the_same_seed_gives_the_same_and_another_another(
    model: Model, fisher: ActivationStatistics, tmp_path: Path
) -> None:
    assert same(fisher, gather(model, TEXTS, tmp_path / "a.gguf", CONTEXT, CHUNKS))
    assert not same(fisher, gather(model, TEXTS, tmp_path / "b.gguf", CONTEXT, CHUNKS, seed=1))


def test_several_passes_give_the_same(model: Model, fisher: ActivationStatistics, tmp_path: Path) -> None:
    notes: list[str] = []
    found = gather(
        model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS, budget=400_000, progress=lambda *a: notes.append(a[2])
    )
    assert same(fisher, found)
    assert len(set(notes)) > 2 and notes[0] == f"pass 1 of {len(set(notes))}"


@pytest.mark.parametrize("when", range(1, 2 * CHUNKS))
def test_an_interrupted_run_goes_on(
    model: Model, fisher: ActivationStatistics, tmp_path: Path, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two passes, stopped after every chunk in turn: the same bits, and no chunk is read twice."""
    monkeypatch.setattr(gathering, "SAVE_SECONDS", 0)
    output, budget = tmp_path / "s.gguf", 500_000

    def stop(done: float, total: float, note: str) -> None:
        assert total == 2 * CHUNKS
        if done == when + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget, progress=stop)
    assert not output.exists() and (tmp_path / "s.gguf.partial").is_dir()
    seen: list[float] = []
    found = gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget, progress=lambda done, *rest: seen.append(done))
    assert seen == list(range(when + 1, 2 * CHUNKS + 1))
    assert same(fisher, found) and not (tmp_path / "s.gguf.partial").exists()


def test_the_beginning_of_something_else_is_not_gone_on_with(model: Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "SAVE_SECONDS", 0)
    output = tmp_path / "s.gguf"

    def stop(done: float, *rest: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, progress=stop)
    for other in ({"seed": 3}, {"fisher": False}, {"chunks": 2}):
        with pytest.raises(UsageError, match="the beginning of a calibration with another"):
            gather(model, TEXTS, output, CONTEXT, **{"chunks": CHUNKS, **other})
    (tmp_path / "s.gguf.partial/0.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"0\.npz is damaged .* remove"):
        gather(model, TEXTS, output, CONTEXT, CHUNKS)


def test_an_op_without_a_gradient_is_refused_unless_all_tokens_count_alike(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Rope, "gradient")
    with pytest.raises(UnsupportedError, match="the gradient of rope is not supported"):
        gather(model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS)
    assert gather(model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS, fisher=False).moments


def test_what_is_read_can_be_written_again(fisher: ActivationStatistics, tmp_path: Path) -> None:
    calibration.write(tmp_path / "again.gguf", fisher)
    again = calibration.read(tmp_path / "again.gguf")
    assert same(fisher, again) and again.provenance == fisher.provenance
    assert again.provenance.tokens == CONTEXT * CHUNKS and len(again.provenance.ids_sha256) == 64
    with pytest.raises(UsageError, match="a .dat holds importance alone"):
        calibration.write(tmp_path / "s.dat", fisher)


def test_experts_have_a_matrix_each(tmp_path: Path) -> None:
    matrices = np.random.default_rng(0).standard_normal((3, 16, 8)).astype(np.float32)
    matrices = np.einsum("eij,eik->ejk", matrices, matrices)
    packed = np.stack([pack(matrix) for matrix in matrices])
    moment = SecondMoment(("blk.0.ffn_up_exps.weight",), "plain", 3, 8, lambda: packed)
    written = ActivationStatistics({"w": SquareSums(np.ones((1, 8)), np.array([1]))}, moments=(moment,))
    calibration.write(tmp_path / "s.gguf", written)
    np.testing.assert_array_equal(calibration.read(tmp_path / "s.gguf").hessian("blk.0.ffn_up_exps.weight"), matrices)


def spoiled(path: Path, **changes: Any) -> ActivationStatistics:
    """A file of one moment of two columns, as `changes` spoil it."""
    metadata = {
        "general.type": "imatrix",
        "bitwright.moments.weights": ["w"],
        "bitwright.moments.of": gguf.Typed([0], "array[uint32]"),
        "bitwright.moments.weighting": ["plain"],
        "bitwright.moments.columns": gguf.Typed([2], "array[uint32]"),
    }
    tensors = {"w.in_sum2": np.ones((1, 2)), "w.counts": np.ones((1, 1)), "moment.0": np.array([[1.0, 0.0, 1.0]])}
    metadata |= {f"bitwright.moments.{key}": value for key, value in changes.items() if key in ("weights", "of",
                 "weighting", "columns", "seed")}  # fmt: skip
    tensors |= {key.replace("__", "."): value for key, value in changes.items() if key in ("moment__0", "w__out_grad2")}
    made = [
        (n, v.shape, formats.get("f32"), lambda v=v: v.astype(np.float32)) for n, v in tensors.items() if v is not None
    ]
    gguf.write(path, metadata, made)
    statistics = calibration.read(path)
    statistics.hessian("w")
    return statistics


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "not a number": ({"moment__0": np.array([[1, np.nan, 1]])}, "second moments of w that are finite"),
    "a negative diagonal": ({"moment__0": np.array([[1.0, 0, -1]])}, "second moments of w with a diagonal from 0"),
    "another shape": ({"moment__0": np.ones((1, 4))}, r"moment.0 to be float32, .* \(matrices, 3\) of 2 columns"),
    "no tensor": ({"moment__0": None}, "a tensor moment.0, got none"),
    "a moment of nobody": ({"of": gguf.Typed([1], "array[uint32]")}, "which of 1 it uses"),
    "a weight without a moment": ({"weights": ["w", "v"]}, "which of 1 it uses"),
    "a weight twice": ({"weights": ["w", "w"], "of": gguf.Typed([0, 0], "array[uint32]")}, "which of 1 it uses"),
    "another weighting": ({"weighting": ["most"]}, "weighting: fisher, plain, gradient, got 'most'"),
    "two weightings": ({"weighting": ["plain", "plain"]}, "of one length, got 2, 1"),
    "no list": ({"columns": 2}, "columns: a list of int, got 2"),
    "a list of words": ({"of": ["0"]}, "of: a list of int"),
    "a seed that is a word": ({"seed": "one"}, "seed: a number from 0, got 'one'"),
    "negative gradients": ({"w__out_grad2": np.full((1, 3), -1.0)}, "mean squared gradients of w"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    changes, message = HOSTILE[name]
    assert spoiled(tmp_path / "good.gguf").hessian("w").tolist() == [[[1, 0], [0, 1]]]
    with pytest.raises(FileFormatError, match=message):
        spoiled(tmp_path / "s.gguf", **changes)


def test_moments_of_another_model_are_refused(fisher: ActivationStatistics, smollm2: Path) -> None:
    only = ActivationStatistics({}, moments=fisher.moments)
    with pytest.raises(BitwrightError, match=r"s: blk\.0\.attn_k\.weight needs second moments of shape \(1, 576\)"):
        only.check(gguf.open(smollm2).tensors, "s")
