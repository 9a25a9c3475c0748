"""llama.cpp's own interface: the same requests to its server and to ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from llama_cpp import LlamaCpp
from scripted import Scripted

from bitwright.engine import generate, text_of
from bitwright.server.service import Service

COMPLETION = {"prompt": "1, 2, 3, 4, 5, 6,", "n_predict": 6, "temperature": 0}  # no other token comes near
DRAWN = {"prompt": "Red, green,", "n_predict": 6, "temperature": 2}


@pytest.fixture(scope="module")
def theirs(smollm2: Path) -> Iterator[httpx2.Client]:
    """llama.cpp's server over the same file."""
    server = LlamaCpp(smollm2, context=512).server
    with httpx2.Client(base_url=server.listening_address, timeout=120) as client:
        yield client


def keys(value: Any) -> Any:
    """The names and kinds of what a JSON value holds."""
    if isinstance(value, dict):
        return {key: keys(own) for key, own in value.items()}
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def missing(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """What their answer has and ours lacks."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return [] if ours == theirs or "NoneType" in (ours, theirs) else [f"{at}: {ours} for {theirs}"]
    lacking = [f"{at}.{key}" for key in theirs if key not in ours]
    return lacking + [f for key in theirs if key in ours for f in missing(ours[key], theirs[key], f"{at}.{key}")]


def both(path: str, asked: dict[str, Any], *clients: httpx2.Client) -> list[Any]:
    return [client.post(path, json=asked).json() for client in clients]


@pytest.mark.parametrize("content", ["Hello, world", "", "ein schöner Tag 🙂", "<|im_start|>user\nhi<|im_end|>"])
def test_tokens_are_llama_cpps(web: httpx2.Client, theirs: httpx2.Client, content: str) -> None:
    for more in ({}, {"add_special": True}, {"parse_special": False}, {"with_pieces": True}):
        asked = {"content": content, **more}
        ours, other = both("/tokenize", asked, web, theirs)
        assert ours == other
    ours, other = both("/detokenize", web.post("/tokenize", json={"content": content}).json(), web, theirs)
    assert ours["content"] == other["content"]


def test_tokens_as_vllms_clients_ask_for_them(web: httpx2.Client, service: Service) -> None:
    info = web.get("/tokenizer_info").json()
    assert info["eos_token"] == "<|im_end|>" and "im_start" in info["chat_template"]
    found = web.post("/tokenize", json={"prompt": "Hello, world", "add_special_tokens": False}).json()
    assert found == {"tokens": service.tokenizer.encode("Hello, world", False), "count": 3, "max_model_len": 1024}
    assert web.post("/detokenize", json={"tokens": found["tokens"]}).json()["prompt"] == "Hello, world"


def test_templates_are_llama_cpps(web: httpx2.Client, theirs: httpx2.Client) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    for more in ([], [{"role": "assistant", "content": "Hi, Hi"}]):
        ours, other = both("/apply-template", {"messages": [*messages, *more]}, web, theirs)
        assert ours["prompt"] == other["prompt"]


def test_completions_say_what_llama_cpps_do(web: httpx2.Client, theirs: httpx2.Client) -> None:
    ours, other = both("/completion", COMPLETION, web, theirs)
    assert ours["content"] == other["content"] and ours["stop_type"] == other["stop_type"] == "limit"
    other["generation_settings"] = {}  # all of its sampler's options
    other.pop("id_slot")
    other.pop("prompt")
    assert missing(keys(ours), keys(other)) == []


def test_a_streams_chunks_join_to_the_completion(web: httpx2.Client) -> None:
    whole = web.post("/completion", json=COMPLETION).json()
    lines = web.post("/completion", json={**COMPLETION, "stream": True}).text.splitlines()
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert "".join(chunk["content"] for chunk in chunks) == whole["content"]
    assert [chunk["stop"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_chat_says_what_llama_cpps_does(web: httpx2.Client, theirs: httpx2.Client) -> None:
    question = {"messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 4, "temperature": 0}
    ours, other = both("/v1/chat/completions", {**question, "logprobs": True, "top_logprobs": 2}, web, theirs)
    assert missing(keys(ours), keys(other)) == []
    assert missing(keys(ours["choices"][0]), keys(other["choices"][0])) == []


def test_what_repeats_is_guessed_and_counted(web: httpx2.Client, service: Service) -> None:
    prompt = "One two three four five six. " * 8 + "One two three"
    found = web.post("/completion", json={**COMPLETION, "prompt": prompt}).json()
    session = service.engine.session()
    expected = text_of(generate(session, service.tokenizer.encode(prompt), max_tokens=6), service.tokenizer)
    assert found["content"] == "".join(expected) and "four five six" in found["content"]
    assert found["timings"]["draft_n"] >= found["timings"]["draft_n_accepted"] > 0
    counted = web.get("/metrics").text
    assert "llamacpp:draft_tokens_accepted_total 0" not in counted and "llamacpp:draft_tokens_total" in counted


def test_several_completions_are_an_array(web: httpx2.Client) -> None:
    found = web.post("/completion", json={**DRAWN, "seed": 1, "n_cmpl": 3}).json()
    assert [own["index"] for own in found] == [0, 1, 2] and len({own["content"] for own in found}) > 1


def test_n_predict_0_reads_a_prompt_and_writes_nothing(web: httpx2.Client) -> None:
    prompt = "A prompt that an editor warms up with, before anybody asks."
    first = web.post("/completion", json={"prompt": prompt, "n_predict": 0}).json()
    assert first["content"] == "" and first["tokens_predicted"] == 0 and first["timings"]["predicted_ms"] == 0
    assert web.post("/completion", json={"prompt": prompt, "n_predict": 1}).json()["timings"]["prompt_n"] == 1


def test_texts_and_ids_in_one_prompt(web: httpx2.Client, service: Service) -> None:
    ids = service.tokenizer.encode(" 2, 3, 4, 5, 6,", False)
    found = web.post("/completion", json={**COMPLETION, "prompt": ["1,", *ids]}).json()
    assert found["content"] == web.post("/completion", json=COMPLETION).json()["content"]


def test_a_list_of_texts_is_a_list_of_prompts(web: httpx2.Client, theirs: httpx2.Client, service: Service) -> None:
    text, ids = COMPLETION["prompt"], service.tokenizer.encode(str(COMPLETION["prompt"]))
    for prompt in ([text, "Red, green,"], [text, ids], [text], ids, [ids]):
        ours, other = both("/completion", {**COMPLETION, "prompt": prompt}, web, theirs)
        ours, other = ([found] if isinstance(found, dict) else found for found in (ours, other))
        assert [own["tokens_evaluated"] for own in ours] == [own["tokens_evaluated"] for own in other]
        assert ours[0]["content"] == other[0]["content"]
    assert web.post("/completion", json={"prompt": []}).status_code == 400
    assert "at most 256" in web.post("/completion", json={"prompt": ["a"] * 257}).json()["error"]["message"]


@pytest.mark.parametrize("field", ["n_predict", "temperature", "top_k", "repeat_penalty", "ignore_eos", "stream"])
def test_null_is_what_is_not_given(web: httpx2.Client, theirs: httpx2.Client, field: str) -> None:
    asked = {**COMPLETION, "stop": [" 9"], field: None}
    for client in (web, theirs):
        answer = client.post("/completion", json=asked)
        assert answer.status_code == 200 and answer.json()["stop"]


def test_top_k_of_minus_1_is_no_limit(web: httpx2.Client) -> None:
    asked = {**DRAWN, "seed": 1, "top_p": 1, "min_p": 0}
    found = [web.post("/completion", json={**asked, "top_k": k}).json()["content"] for k in (-1, 0)]
    assert found[0] == found[1]


def test_addresses_without_a_version(web: httpx2.Client, theirs: httpx2.Client) -> None:
    question = {"messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 1}
    for path, asked in (("/chat/completions", question), ("/completions", COMPLETION), ("/embeddings", {"input": "a"})):
        assert web.post(path, json=asked).status_code == 200
    assert web.get("/models").json() == web.get("/v1/models").json() and theirs.get("/models").status_code == 200


def test_properties_health_and_metrics(web: httpx2.Client, theirs: httpx2.Client, service: Service) -> None:
    assert web.get("/health").json() == theirs.get("/health").json() == {"status": "ok"}
    props, other = web.get("/props").json(), theirs.get("/props").json()
    for key in ("chat_template", "bos_token", "eos_token", "total_slots", "modalities"):
        assert key in props
        if key != "total_slots":
            assert missing(keys(props[key]), keys(other[key])) == []
    assert props["default_generation_settings"]["n_ctx"] == service.context
    web.post("/completion", json=COMPLETION)
    lines = web.get("/metrics").text.splitlines()
    found = {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}
    assert found["llamacpp:tokens_predicted_total"] > 0 and found["llamacpp:requests_processing"] == 0
    for tokens, spent, speed in (
        ("prompt_tokens_total", "prompt_seconds_total", "prompt_tokens_seconds"),
        ("tokens_predicted_total", "tokens_predicted_seconds_total", "predicted_tokens_seconds"),
    ):
        expected = found[f"llamacpp:{tokens}"] / found[f"llamacpp:{spent}"]
        assert found[f"llamacpp:{speed}"] == pytest.approx(expected) and expected > 0


def test_models_and_slots_are_llama_cpps(
    web: httpx2.Client, theirs: httpx2.Client, openai: Any, service: Service
) -> None:
    (ours,), (other,) = (client.get("/v1/models").json()["data"] for client in (web, theirs))
    assert ours["id"] == "smollm2" and ours["meta"]["n_ctx"] == service.context
    for key in ("n_vocab", "n_ctx_train", "n_embd", "n_params", "ftype"):
        assert ours["meta"][key] == other["meta"][key]
    assert openai.models.retrieve("smollm2").model_dump() == openai.models.list().data[0].model_dump()
    assert "'org/other'" in web.get("/v1/models/org/other").json()["error"]["message"]
    ours, other = web.get("/slots").json(), theirs.get("/slots").json()
    assert len(ours) == service.parallel and ours[0].keys() <= other[0].keys() and not ours[0]["is_processing"]


def test_gaps_need_tokens_for_them(web: httpx2.Client) -> None:
    answer = web.post("/infill", json={"input_prefix": "a", "input_suffix": "b"})
    assert answer.status_code == 501 and answer.json()["error"]["type"] == "not_supported_error"


def test_unknown_paths_and_methods(web: httpx2.Client) -> None:
    assert web.get("/nothing").json()["error"]["type"] == "not_found_error"
    assert web.get("/v1/chat/completions").status_code == 405


CODE = "a:\n    b\n\tc\n  d\n    e"


@pytest.mark.parametrize(
    ("more", "expected", "kind"),
    [
        ({}, CODE, "eos"),
        ({"n_indent": 1}, CODE, "eos"),
        ({"n_indent": 2}, "a:\n    b", "limit"),
        ({"n_indent": 4, "stop": ["\tc"]}, "a:\n    b\n", "word"),
        ({"t_max_predict_ms": 1e-6}, "a:\n   ", "limit"),
        ({"t_max_predict_ms": 1e9}, CODE, "eos"),
        ({"t_max_predict_ms": 0, "n_indent": None}, CODE, "eos"),
    ],
)
def test_an_answer_ends_at_the_end_of_a_line(
    scripted: tuple[Scripted, str], more: dict[str, Any], expected: str, kind: str
) -> None:
    service, address = scripted
    service.script = CODE
    whole = httpx2.post(f"{address}/completion", json={"prompt": "a", **more}, timeout=120).json()
    assert (whole["content"], whole["stop_type"], whole["has_new_line"]) == (expected, kind, True)
    stream = httpx2.post(f"{address}/completion", json={"prompt": "a", "stream": True, **more}, timeout=120).text
    chunks = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line]
    assert "".join(chunk["content"] for chunk in chunks) == expected and chunks[-1]["stop_type"] == kind
