"""Grammars of calls, with a real vocabulary: what they allow is what the parser of the same format reads as calls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from replies import calls_in, fed
from reply_templates import TEMPLATES

from bitwright.engine import Sampler
from bitwright.engine.constraint import Constraint
from bitwright.errors import UsageError
from bitwright.io import gguf
from bitwright.model.replies import reply_format
from bitwright.model.tokenizer import Tokenizer

PLACE = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Å"]}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": PLACE | {"additionalProperties": False}}},
    {"type": "function", "function": {"name": "wind.1-a", "parameters": {"enum": [{}, {"n": [1]}]}}},
]
ALLOWED = ("hermes", "llama3", "mistral", "deepseek", "harmony")


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> Tokenizer:
    return Tokenizer.from_gguf(gguf.open(smollm2))


def drawn(constraint: Constraint, tokenizer: Tokenizer, seed: int, most: int = 300) -> str:
    """A text that fits, of random tokens; whole if the draw ends within `most`."""
    random, sampler, ids = np.random.default_rng(seed), Sampler(1, seed=seed, top_k=0, top_p=1, min_p=0), list[int]()
    while not constraint.finished and len(ids) < most:
        logits = random.normal(size=tokenizer.vocab_size).astype(np.float32)
        logits[[*tokenizer.end_of_generation]] += 1  # ends soon
        constraint.allowed(logits)
        ids.append(sampler(logits))
        constraint.accept(ids[-1])
    return tokenizer.decode(ids, skip_special=True)


@pytest.mark.parametrize("name", ALLOWED)
def test_random_texts_of_a_grammar_are_calls(name: str, tokenizer: Tokenizer) -> None:
    format = reply_format(TEMPLATES[name])
    grammar = format.grammar(TOOLS, required=True)
    assert grammar is not None
    single = format.grammar(TOOLS, required=True, single=True)
    assert single is not None
    whole, once = (Constraint.of_grammar(tokenizer, own) for own in (grammar, single))
    found, several = set(), 0
    for seed in range(12):
        calls = calls_in(fed(format.reply("", TOOLS), [drawn(whole.copy(), tokenizer, seed)]))
        assert calls and all(arguments in ({"city": "Oslo"}, {"city": "Å"}) for n, arguments in calls if n == "weather")
        found |= {n for n, _ in calls}
        one = drawn(once.copy(), tokenizer, seed)
        assert len(calls_in(fed(format.reply("", TOOLS), [one]))) == 1
        several += len(calls) > 1
    assert found == {"weather", "wind.1-a"} and several


@pytest.mark.parametrize(
    ("name", "mark"), [("hermes", "<tool_call>"), ("mistral", "[TOOL_CALLS]"), ("deepseek", "<｜tool▁calls▁begin｜>")]
)
def test_text_may_come_instead(name: str, mark: str, tokenizer: Tokenizer) -> None:
    format = reply_format(TEMPLATES[name])
    grammar = format.grammar(TOOLS, required=False)
    assert grammar is not None
    whole = Constraint.of_grammar(tokenizer, grammar)
    written = drawn(Constraint.of_grammar(tokenizer, format.grammar(TOOLS, required=True) or ""), tokenizer, 1)
    texts = [' I look. {"a": 1} <x>\n', written, f"I look.\n{written}", f"I {mark} x {mark}"]
    for text, fits in zip(texts, (True, True, True, False), strict=True):
        constraint, logits = whole.copy(), np.zeros(tokenizer.vocab_size, np.float32)
        try:
            for id in tokenizer.encode(text):
                constraint.accept(id)
        except UsageError:
            assert not fits
            continue
        constraint.allowed(logits)
        assert fits == (logits[min(tokenizer.end_of_generation)] == 0)


def test_formats_without_a_grammar() -> None:
    for name, source in TEMPLATES.items():
        format = reply_format(source)
        assert (format.grammar(TOOLS, required=True) is not None) == (format.name in ALLOWED), name
        assert format.grammar([], required=True) is None
    assert reply_format(None).grammar(TOOLS, required=True) is None
    assert reply_format(TEMPLATES["llama3"]).grammar(TOOLS, required=False) is None


def test_json_in_a_grammar_is_bounded_like_a_schema(tokenizer: Tokenizer) -> None:
    text = Constraint.of_grammar(tokenizer, f'start: "x" %json {json.dumps(PLACE)} "y"')
    for id in tokenizer.encode('x{\n  "city":'):
        text.accept(id)
    text.accept(tokenizer.encode("\n")[0])
    logits = np.zeros(tokenizer.vocab_size, np.float32)
    text.allowed(logits)
    assert logits[tokenizer.encode("\n")[0]] == -np.inf
