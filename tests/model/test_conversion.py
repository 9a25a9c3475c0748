"""Checkpoints of each family that is converted, against transformers, llama.cpp's converter and llama.cpp."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_forward
import tiny_checkpoints
from checkpoint_configs import CASES, SENTENCEPIECE
from dequantized import stored
from llama_cpp import LlamaCpp
from make_checkpoint_goldens import POSITIONS
from reference_forward import Reference, gelu, log_softmax
from tiny_checkpoints import IDS

from bitwright import kernels
from bitwright.engine import Engine, RunOptions
from bitwright.io.gguf import GGUF
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.model import Model
from bitwright.quantizers import quantize

CONTEXT = 256  # within which LongRoPE stretches nothing
GOLDEN = Path(__file__).parents[1] / "golden"
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    base = tmp_path_factory.mktemp("checkpoints")
    return {case: tiny_checkpoints.write(case, base / case) for case in CASES}


@cache
def golden(case: str) -> dict[str, Any]:
    """A case's goldens; a name in place of a value stands for that of another case."""
    told = json.loads((GOLDEN / "checkpoints.json").read_text())
    own, ids = told[case]["metadata"], told[case].get("ids")
    metadata = {key: told[value]["metadata"][key] if isinstance(value, str) else value for key, value in own.items()}
    return {"metadata": metadata, "ids": told[ids]["ids"] if isinstance(ids, str) else ids}


def arrays(file: GGUF) -> dict[str, np.ndarray]:
    return {name: file.tensor(name).dequantize() for name in file.tensors}


def log_probabilities(rows: np.ndarray) -> np.ndarray:
    return log_softmax(np.asarray(rows, np.float64))


@pytest.mark.parametrize("case", CASES)
def test_transformers_agrees(folders: Folders, case: str) -> None:
    """transformers computes in float32. bitwright rounds keys and values to float16 besides, so it may differ by as
    much as such rounding, played through in the reference, does; 6 times the largest, as in `compare`."""
    theirs = log_probabilities(np.load(GOLDEN / "checkpoints.npz")[case])
    file = Checkpoint(folders[case])
    metadata, weights, at = file.metadata, arrays(file), list(POSITIONS)

    def reference(kind: Any, rounding: np.random.Generator | None = None) -> np.ndarray:
        return Reference(metadata, weights, kind, rounding).log_probabilities(IDS)[at]

    exact = reference(np.float64)
    in_float32 = 6 * np.abs(reference(np.float64, np.random.default_rng(0)) - exact).max()
    in_engine = 6 * np.abs(reference(np.float16, np.random.default_rng(1)) - exact).max()
    assert np.abs(theirs - exact).max() <= in_float32
    model = Model.from_gguf(file)
    if "mxfp4" in case or kernels.tier() == "avx512_bf16":  # products with mxfp4, or here with BF16, round their inputs
        model = model.with_tensors({name: stored(name, values) for name, values in weights.items()})
    for how, ours in ways(Engine(model, RunOptions(CONTEXT))).items():
        assert np.abs(log_probabilities(ours)[at] - theirs).max() <= in_float32 + in_engine, how


def ways(engine: Engine) -> dict[str, np.ndarray]:
    """The logits (tokens, vocabulary) read at once, token by token, beside another text, and after keys and values were
    saved and restored."""
    session = engine.session()
    stepped = [session.prefill(IDS[:1]), *map(session.step, IDS[1:])]
    saved, restored = engine.session(), engine.session()
    saved.prefill(IDS[:20])
    restored.restore(IDS[:20], saved.save())
    together, rows = engine.session(2), []
    for first, second in zip(IDS, reversed(IDS), strict=True):
        rows.append(together.advance({0: [first], 1: [second]})[0])
    whole = engine.session().logits(IDS)
    resumed = np.array([*whole[:20], *map(restored.step, IDS[20:])])
    return {"prefill": whole, "decode": np.array(stepped), "batched": np.array(rows), "restored": resumed}


# By key, or by the end of one, why ours is another than llama.cpp's converter's.
DIFFERENCES = {
    "deepseek2.expert_gating_func": "config.json of GLM 4.7 Flash does not say it, and the converter leaves it out",
    ".rope.scaling.type": "the converter leaves it out for Phi 3, whose two tensors say the same",
    "general.size_label": "a rounded count of the weights, which every reader can count",
    "general.file_type": "the converter rounds float32 to float16; bitwright keeps it",
    ".expert_feed_forward_length": "Granite 4: the converter says it in feed_forward_length alone",
    ".vocab_size": "the converter writes it for llama alone; it is true of all",
    ".rope.dimension_count": "the same",
    ".attention.key_length": "written where it is the default, too: width / heads",
    ".attention.value_length": "the same",
    ".attention.sliding_window_pattern": "without it, llama.cpp takes every sixth layer for one without a window",
    "gemma4.final_logit_softcapping": "0 for none: without the key, llama.cpp caps at 30",
    "tokenizer.ggml.unknown_token_id": "the converter looks texts up in tokenizer.json, bitwright in the vocabulary",
}


@pytest.mark.parametrize("case", CASES)
def test_metadata_are_the_converters(folders: Folders, case: str) -> None:
    ours, theirs = Checkpoint(folders[case]).metadata, dict(golden(case)["metadata"])
    types = {"UINT32": "uint32", "INT32": "int32", "FLOAT32": "float32", "BOOL": "bool", "STRING": "string"}
    if case in ("qwen2-tied-yarn", "qwen3.5-moe-untied"):  # transformers' class adds its own default to any vocabulary
        tokens, kinds = (theirs[f"tokenizer.ggml.{key}"][1] for key in ("tokens", "token_type"))
        id = tokens.index("<|endoftext|>")
        tokens[id], kinds[id] = f"[PAD{id}]", 5
    if case in ("granite4-tied", "granite4-untied-experts"):  # the converter fills it up to 328, unlike the embedding
        for key in ("tokens", "token_type"):
            del theirs[f"tokenizer.ggml.{key}"][1][325:]
    if case == "phi3-window":  # here the converter goes by `special` alone, and keeps SentencePiece's spaces
        tokens, kinds = (theirs[f"tokenizer.ggml.{key}"][1] for key in ("tokens", "token_type"))
        kinds[tokens.index("<|odd|>")] = 3
        tokens[tokens.index("a▁tool")] = "a tool"
    if case in SENTENCEPIECE:  # the converter takes what tokenizer.model marks as user-defined for normal
        ids = [id for id, text in enumerate(ours["tokenizer.ggml.tokens"]) if text == "<table>"]
        assert [theirs["tokenizer.ggml.token_type"][1][id] for id in ids] == [1]
        theirs["tokenizer.ggml.token_type"][1][ids[0]] = 4
    for key in {*ours, *theirs}:
        value = ours[key].tolist() if key in ours and hasattr(ours[key], "tolist") else ours.get(key)
        if key in theirs and key in ours and theirs[key][1] == value:
            kinds = [types[kind] for kind in theirs[key][0].split(":") if kind not in ("ARRAY", "")]
            assert ours.value_type(key) in (kinds[0], f"array[{kinds[0]}]"), key
        else:
            assert any(key.endswith(end) for end in DIFFERENCES), (key, value, theirs.get(key))


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_agrees(
    folders: Folders, case: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads the converted file in float32, finds the same tokens, and predicts the same, up to float32 rounding. Its
    GELU is a table of float16 (ggml_vec_gelu_f32), and it rounds YaRN's ramp whatever the model. Its server leaves out
    tokens that end within a character."""
    monkeypatch.setattr(reference_forward, "EXACT_RAMP", ())
    monkeypatch.setattr(
        reference_forward, "gelu", lambda x: gelu(x.astype(np.float16).astype(float)).astype(np.float16)
    )
    path, most = tmp_path / "m.gguf", 20 if case == "phi3-window" else 40  # llama.cpp leaves Phi 3's window out
    prompts = [IDS[:count] for count in (1, 2, 9, 12, 20, 30, 39, 40) if count <= most]
    quantize(folders[case], "f32", path)
    file, peer = Checkpoint(folders[case]), LlamaCpp(path, len(prompts), exact_cache=True)
    metadata, weights, tokenizer = file.metadata, arrays(file), Model.from_gguf(file).tokenizer
    exact = Reference(metadata, weights, np.float64).log_probabilities(IDS)
    played = Reference(metadata, weights, np.float64, np.random.default_rng(0)).log_probabilities(IDS)
    answers = zip(prompts, peer.greedy(prompts, 1, 5), strict=True)
    found = [
        (len(ids) - 1, *pair) for ids, steps in answers for step in steps for pair in step.log_probabilities.items()
    ]
    at, tokens, theirs = (np.array(part) for part in zip(*found, strict=True))
    assert len(set(at)) >= 4
    assert np.abs(theirs - exact[at, tokens]).max() <= 6 * np.abs(played - exact).max()
    for text in [*tiny_checkpoints.texts(data)[::8], "<|end|> a tool <table><start> \n x", "<tool>"]:
        assert peer.tokenize(text) == tokenizer.encode(text, parse_special=True), text
