"""Ids and prompts against llama.cpp, run in this process on 127.0.0.1, with the two installable models."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vocabularies import long_texts

from bitwright.io import gguf
from bitwright.model.chat import ChatTemplate
from bitwright.model.tokenizer import Tokenizer

Post = Callable[..., Any]
TRICKY = (
    *(
        "",
        " ",
        "Hello",
        " Hello",
        "  two  spaces ",
        "\n\n\n",
        "\t\ttab\n",
        " " * 70,
        "\n" * 40,
        "a" * 500,
        "1234567 ٣٤٥",
    ),
    *("<|im_start|>user\nHi<|im_end|>\n", "<bos><start_of_turn>user\n", "<table><tr>\n</s>", "<s>not special</s>", "▁"),
    *(
        "I'LL we're 'tis",
        "我想在apple工作1314151天～",
        "🦙🚀😶‍🌫️",
        "e\u0301 \u00a0\u2003x",
        "<0x0A>",
        "def f(x):\n    return x\n",
    ),
)
CONVERSATIONS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": 'Say "no" <b>&\n twice'}],
    [
        {"role": "user", "content": " one "},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "三<|im_end|>"},
    ],
)


def serve(model: Path) -> tuple[Any, Post]:
    """A llama.cpp server in this process and a function that posts to it."""
    xllamacpp = pytest.importorskip("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = 64, 1, -1
    parameters.warmup = parameters.fit_params = False
    server = xllamacpp.Server(parameters)

    def post(path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    return server, post


@pytest.fixture(scope="module")
def smollm2_server(smollm2: Path) -> Iterator[Post]:
    server, post = serve(smollm2)
    yield post
    del server


@pytest.fixture(scope="module")
def gemma3_server(gemma3: Path) -> Iterator[Post]:
    server, post = serve(gemma3)
    yield post
    del server


def samples(data: Path) -> Iterator[str]:
    yield from TRICKY
    for text in long_texts(data):
        yield from (text[at : at + 10_000] for at in range(0, len(text), 60_000))


def check_ids(model: Path, post: Post, data: Path) -> None:
    tokenizer = Tokenizer.from_gguf(gguf.open(model))
    for text in samples(data):
        for parse in (False, True):
            expected = post("/tokenize", content=text, add_special=True, parse_special=parse)["tokens"]
            assert tokenizer.encode(text, parse_special=parse) == expected, (parse, text[:80])


def test_smollm2_ids(smollm2: Path, smollm2_server: Post, data: Path) -> None:
    check_ids(smollm2, smollm2_server, data)


def test_gemma3_ids(gemma3: Path, gemma3_server: Post, data: Path) -> None:
    check_ids(gemma3, gemma3_server, data)


@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_smollm2_prompts(smollm2: Path, smollm2_server: Post, messages: list[dict[str, str]]) -> None:
    template = ChatTemplate.from_gguf(gguf.open(smollm2))
    assert template is not None
    assert template.render(messages) == smollm2_server("/apply-template", messages=messages)["prompt"]


def test_smollm2_prompt_ids(smollm2: Path, smollm2_server: Post) -> None:
    file = gguf.open(smollm2)
    template, tokenizer = ChatTemplate.from_gguf(file), Tokenizer.from_gguf(file)
    assert template is not None
    prompt = smollm2_server("/apply-template", messages=CONVERSATIONS[2])["prompt"]
    expected = smollm2_server("/tokenize", content=prompt, add_special=True, parse_special=True)["tokens"]
    assert template.encode(tokenizer, CONVERSATIONS[2]) == expected
    assert expected[0] == 1 and 2 in expected


def test_a_base_model_has_no_template(gemma3: Path) -> None:
    assert ChatTemplate.from_gguf(gguf.open(gemma3)) is None
