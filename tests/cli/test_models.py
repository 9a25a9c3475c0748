"""The verbs that need a running model: quantize, run, eval, bench, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from cli.support import finish, start

from bitwright.cli.run import chat
from bitwright.engine import Sampler, load
from bitwright.engine.conversation import Conversation

TEXT = Path(__file__).parents[2] / "examples/measures.txt"
ANSWER = ["What is the capital of Japan?", "--temp", "0", "-n", "12"]


@pytest.fixture(scope="session")
def small(stories260k, tmp_path_factory) -> Path:
    """stories260K as Q8_0, made by the command line."""
    target = tmp_path_factory.mktemp("models") / "stories.q8_0.gguf"
    outcome = finish(start("quantize", stories260k, "--to", "q8_0", "-o", target))
    assert outcome.code == 0, outcome.err
    assert "wrote" in outcome.out and str(target) in outcome.out
    return target


def test_quantize_says_what_it_wrote(bitwright, stories260k, tmp_path) -> None:
    target = tmp_path / "out.gguf"
    found = bitwright("quantize", stories260k, "--to", "q4_0", "-o", target, "--json").json
    assert {"output", "bytes", "bits_per_weight", "recipe", "seconds"} <= set(found)
    assert found["output"] == str(target)
    assert found["bytes"] == target.stat().st_size
    written = bitwright("inspect", target, "--json").json
    assert found["bits_per_weight"] == pytest.approx(written["bits_per_weight"])
    formats = {t["name"]: (t["format"], t["bytes"]) for t in written["tensors"]}
    assert {r["tensor"]: (r["format"], r["bytes"]) for r in found["recipe"]} == formats
    assert formats["blk.0.attn_q.weight"][0] == "q4_0" and formats["blk.0.attn_norm.weight"][0] == "float32"


def test_a_dry_run_writes_nothing_and_promises_the_same(bitwright, stories260k, tmp_path) -> None:
    target = tmp_path / "out.gguf"
    promised = bitwright("quantize", stories260k, "--to", "q4_k_m", "-o", target, "--dry-run", "--json").json
    assert list(tmp_path.iterdir()) == []
    done = bitwright("quantize", stories260k, "--to", "q4_k_m", "-o", target, "--json").json
    assert promised["recipe"] == done["recipe"]
    assert promised["bits_per_weight"] == done["bits_per_weight"]
    assert promised["bytes"] == pytest.approx(done["bytes"], rel=0.002)  # metadata and padding are estimated


def test_a_fallback_is_said_aloud(bitwright, stories260k) -> None:
    text = bitwright("quantize", stories260k, "--to", "q4_k_m", "--dry-run").out
    assert "256" in text and "64" in text  # rows of 64 hold no superblock of 256


def test_tensor_types_overrule_the_recipe(bitwright, stories260k) -> None:
    overrule = ["--tensor-type", r"ffn_down=q8_0", "--tensor-type", "attn_v=Q5_1"]
    found = bitwright("quantize", stories260k, "--to", "q4_0", "--dry-run", "--json", *overrule).json
    formats = {r["tensor"]: r["format"] for r in found["recipe"]}
    assert formats["blk.2.attn_v.weight"] == "q5_1" and formats["blk.1.attn_q.weight"] == "q4_0"


def test_recipe_files(bitwright, stories260k, tmp_path) -> None:
    (tmp_path / "r.toml").write_text(
        "file_type = 'q4_0'\ntensors = [['ffn_down', 'q8_0'], ['ffn', 'q5_0'], ['x', 'q8_0']]"
    )
    (tmp_path / "types.txt").write_text("attn_v=Q5_1 attn_k=q4_1")
    files = ["--to", tmp_path / "r.toml", "--tensor-type-file", tmp_path / "types.txt"]
    found = bitwright("quantize", stories260k, *files, "--tensor-type", r"\.0\.attn_v=q8_0", "--dry-run", "--json").json
    formats = {r["tensor"]: r["format"] for r in found["recipe"]}
    assert [formats[f"blk.{i}.attn_v.weight"] for i in (0, 1)] == ["q8_0", "q5_1"]
    assert [formats[f"blk.2.{name}.weight"] for name in ("attn_k", "ffn_up", "attn_q")] == ["q4_1", "q5_0", "q4_0"]
    text = bitwright("quantize", stories260k, "--to", tmp_path / "r.toml", "--dry-run").out
    assert "1 pattern of the recipe matches no tensor that is quantized: x" in text


@pytest.mark.parametrize(
    "options",
    [["--to", "q9_9"], ["--to", "missing.toml"], ["--to", "q4_0", "--tensor-type-file", "missing.txt"],
     ["--to", "q4_0", "--tensor-type", "ffn"], ["--to", "q4_0", "--tensor-type", "(=q8_0"],
     ["--to", "q4_0", "--tensor-type", "ffn=q9_9"]],
)  # fmt: skip
def test_a_wrong_recipe_is_one_line(bitwright, stories260k, tmp_path, options) -> None:
    outcome = bitwright("quantize", stories260k, "-o", tmp_path / "out.gguf", *options)
    assert outcome.code in (1, 2) and outcome.err.count("\n") == 1
    assert "bug" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_run_streams_the_same_greedy_text_every_time(bitwright, small) -> None:
    first = bitwright("run", small, "Once upon a time", "--temp", "0", "-n", "24")
    assert first.code == 0 and first.err == ""
    again = bitwright("run", small, "Once upon a time", "--temp", "0", "-n", "24", "--json").json
    assert first.out == again["text"] + "\n"
    assert len(again["ids"]) == 24 and again["stopped"] == "length"


def test_sampling_repeats_with_a_seed(bitwright, small) -> None:
    def sample(seed: int) -> str:
        return bitwright("run", small, "Once upon", "--temp", "1.5", "--seed", seed, "-n", "24").out

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_run_uses_the_chat_template(bitwright, smollm2) -> None:
    outcome = bitwright("run", smollm2, *ANSWER)
    assert outcome.code == 0 and "Tokyo" in outcome.out and "<|im_" not in outcome.out
    found = bitwright("run", smollm2, *ANSWER, "--json").json
    assert found["prompt_tokens"] > 20  # the template's own system message comes first
    raw = bitwright("run", smollm2, *ANSWER, "--raw", "--json").json
    assert raw["prompt_tokens"] < 16


def test_a_prompt_from_stdin_and_a_full_context(small) -> None:
    outcome = finish(start("run", small, "--temp", "0", "-c", "16"), "Once upon a time")
    assert outcome.code == 0
    assert outcome.out.strip() and "context is full" in outcome.err


def test_a_prompt_longer_than_the_context_is_refused(bitwright, small) -> None:
    outcome = bitwright("run", small, "Once upon a time there was a little girl", "-c", "8")
    assert outcome.code == 2 and "-c" in outcome.err and outcome.err.count("\n") == 1


def test_json_needs_a_prompt(bitwright, small, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    outcome = bitwright("run", small, "--json")
    assert outcome.code == 2 and "PROMPT" in outcome.err


def test_ctrl_c_keeps_the_text_and_exits_130(smollm2) -> None:
    process = start("run", smollm2, "Tell me a very long story.", "--temp", "0", "-t", "1")
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 1)  # the answer has begun
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert (
        first.strip() and outcome.out.endswith("\n") and "Traceback" not in outcome.err and "error" not in outcome.err
    )


def test_ctrl_c_while_quantizing_leaves_no_file(widened, tmp_path) -> None:
    process = start("quantize", widened, "--to", "q4_k_m", "-o", tmp_path / "out.gguf", "-t", "1")
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130 and outcome.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_conversation_in_a_terminal(smollm2) -> None:
    import pty

    parent, child = pty.openpty()
    process = start(
        "run", smollm2, "--temp", "0", "-n", "24", stdin=child, stdout=child, stderr=child, env={"TERM": "dumb"}
    )
    os.close(child)
    shown = converse(parent, ["What is the capital of Japan?\n", "And of Italy?\n", "\x04"])
    assert process.wait(30) == 0
    assert "Tokyo" in shown and "Rome" in shown  # the second question makes sense only after the first


def test_a_question_that_does_not_fit_does_not_end_the_chat(small, monkeypatch, capsys) -> None:
    asked = iter(["Once upon a time", "Once upon a time there was a very long question " * 3, "Once upon a time"])

    def type_line(prompt: str) -> str:
        if (line := next(asked, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", type_line)
    conversation = Conversation(load(small, context=24), Sampler(temperature=0))
    chat(conversation, 8)
    first, second, *rest = [line for line in capsys.readouterr().out.splitlines() if line]
    assert first == second and not rest
    assert [m["content"] for m in conversation.messages[::2]] == ["Once upon a time"] * 2


def converse(terminal: int, lines: list[str]) -> str:
    """Type each line when the prompt stands there; everything that the terminal showed."""
    shown, waiting = "", list(lines)
    with os.fdopen(terminal, "rb+", buffering=0) as tty:
        while True:
            try:
                shown += tty.read(4096).decode("utf-8", "replace")
            except OSError:  # Linux answers so when the other side is closed
                return shown
            if waiting and shown.endswith("> "):
                tty.write(waiting.pop(0).encode())


def test_eval_measures_perplexity(bitwright, small) -> None:
    found = bitwright("eval", small, "-f", TEXT, "--ctx", "128", "--chunks", "2", "--json").json
    assert {"tokens_scored", "perplexity"} <= set(found)
    assert found["tokens_scored"] == 2 * 63 and found["chunks"] == 2 and found["context"] == 128
    assert found["perplexity"]["mean"] > 1 and found["perplexity"]["standard_error"] > 0
    shown = bitwright("eval", small, "-f", TEXT, "--ctx", "128", "--chunks", "2").out
    assert shown.startswith(f"perplexity {found['perplexity']['mean']:.4f} ")


def test_eval_refuses_a_text_shorter_than_a_chunk(bitwright, small, tmp_path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("Once upon a time.")
    outcome = bitwright("eval", small, "-f", short)
    assert outcome.code in (1, 2) and outcome.err.count("\n") == 1 and "bug" not in outcome.err


def test_bench_keys(bitwright, small) -> None:
    found = bitwright("bench", small, "-p", "16", "-n", "4", "-d", "8", "-r", "1", "-t", "1", "--json").json
    assert found["threads"] == 1 and found["tier"]
    assert {"read_gb_s", "int8_gop_s", "bf16_gflop_s"} <= set(found["limits"])
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


def test_calibrate_then_quantize_with_what_it_gathered(bitwright, stories260k, tmp_path) -> None:
    stats, target = tmp_path / "stats.gguf", tmp_path / "out.gguf"
    found = bitwright("calibrate", stories260k, "-f", TEXT, "-c", 128, "--chunks", 2, "-o", stats, "--json").json
    assert (found["chunks"], found["tokens"], found["weights"]) == (2, 256, 36)
    bitwright("quantize", stories260k, "--to", "q4_1", "--stats", stats, "-o", target)
    metadata = bitwright("inspect", target, "--json").json["metadata"]
    assert metadata["quantize.imatrix.file"] == "stats.gguf"
    refused = bitwright("quantize", stories260k, "--to", "q4_1", "--stats", TEXT, "-o", target)
    assert refused.code == 1 and "expected entries" in refused.err and len(refused.err.splitlines()) == 1
    unsaid = bitwright("calibrate", stories260k, "-f", TEXT)
    assert unsaid.code == 2 and "-o FILE" in unsaid.err


def test_calibrate_for_second_moments(bitwright, stories260k, tmp_path, monkeypatch) -> None:
    """Plain where an op has no gradient, which is said."""
    arguments = "calibrate", stories260k, "-f", TEXT, "-c", 64, "--chunks", 2, "--hessian", "-o", tmp_path / "s.gguf"
    found = bitwright(*arguments, "--json").json
    assert (found["weights"], found["moments"], found["weighting"]) == (36, 22, ["fisher", "gradient"])
    assert bitwright(*arguments, "--no-fisher", "--json").json["weighting"] == ["plain"]
    monkeypatch.delattr("bitwright.kernels.ops.Rope.gradient")
    lacking = bitwright(*arguments)
    assert lacking.code == 0 and "no gradient of rope is known: all tokens count equally" in lacking.err
    assert "21 second moments (plain)" in lacking.out


def test_calibrate_on_conversations(bitwright, smollm2, stories260k, tmp_path) -> None:
    chat = tmp_path / "chat.jsonl"
    messages = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine, thank you."}]
    chat.write_text("\n".join([json.dumps({"messages": messages})] * 3))
    arguments = "-c", 8, "--chunks", 1, "-o", tmp_path / "s.gguf", "--chat", "-f", chat
    assert bitwright("calibrate", smollm2, *arguments, "--json").json["chunks"] == 1
    chat.write_text(chat.read_text() + '\n\n{"messages": "Hello"}')
    wrong = bitwright("calibrate", smollm2, *arguments)
    assert wrong.code == 2 and 'chat.jsonl, line 5: expected {"messages": [' in wrong.err and '"Hello"' in wrong.err
    assert "has no chat template" in bitwright("calibrate", stories260k, *arguments).err
    assert "-f FILE" in bitwright("calibrate", smollm2, *arguments[:-2]).err


def test_calibrate_without_a_text(bitwright, stories260k, tmp_path) -> None:
    done = bitwright("calibrate", stories260k, "-c", 512, "--chunks", 1, "-o", tmp_path / "s.gguf")
    assert done.code == 0 and "Python's standard library (PSF-2.0, " in done.err
    texts = bitwright("inspect", tmp_path / "s.gguf", "--json").json["metadata"]["imatrix.datasets"]
    assert "Python's standard library" in texts
