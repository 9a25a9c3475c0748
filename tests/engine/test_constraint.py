"""Constrained output, with a real vocabulary: what may follow, where a text may end, and what is refused."""

from __future__ import annotations

import gc
import json
import re
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.engine import constraint
from bitwright.engine.constraint import Constraint
from bitwright.errors import UsageError
from bitwright.io import gguf
from bitwright.model.tokenizer import Tokenizer

SECONDS = 1.0  # of CPU time: what cannot be enforced is refused within them


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_gguf(gguf.open(smollm2))
    Constraint.of_regex(tokenizer, "x")  # makes its tables
    return tokenizer


def following(constraint: Constraint, tokenizer: Tokenizer, extra: int = 0) -> set[int]:
    """The ids that may follow; `extra`: logits beyond the vocabulary, as models have that round it up."""
    logits = np.arange(tokenizer.vocab_size + extra, dtype=np.float32)
    constraint.allowed(logits)
    allowed = np.flatnonzero(logits != -np.inf)
    assert (logits[allowed] == allowed).all(), "an allowed logit changed"
    return set(allowed.tolist())


def read(constraint: Constraint, tokenizer: Tokenizer, text: str) -> Constraint:
    """Accept a text, each token of which must be allowed."""
    for id in tokenizer.encode(text, parse_special=True):
        assert id in following(constraint, tokenizer), tokenizer.token_text(id)
        constraint.accept(id)
    return constraint


def test_a_text_ends_where_it_is_complete(tokenizer: Tokenizer) -> None:
    ends = tokenizer.end_of_generation
    text = Constraint.of_regex(tokenizer, "(ab)+c?")
    assert not following(text, tokenizer) & ends
    read(text, tokenizer, "ab")
    assert ends < following(text, tokenizer) and not text.finished
    read(text, tokenizer, "c")
    assert text.finished and following(text, tokenizer) == ends
    text.accept(min(ends))
    assert text.finished


def test_tokens_are_allowed_whose_bytes_fit(tokenizer: Tokenizer) -> None:
    """Against the definition, for every token; some end within a character."""
    text, left = Constraint.of_regex(tokenizer, "[a-zé ]{1,9}!"), 9
    for piece in (" the", "é", "abc"):
        whole, begun = rf"(?:[a-z ]|é){{0,{left}}}".encode(), rf"(?:[a-z ]|é){{0,{left - 1}}}".encode() + b"\xc3"
        end = rf"(?:[a-z ]|é){{{int(left == 9)},{left}}}!".encode()
        fits = re.compile(b"|".join((whole, begun, end)))
        ids = (id for id in range(tokenizer.vocab_size) if not tokenizer.is_special(id))
        expected = {id for id in ids if (own := tokenizer.token_bytes(id)) and fits.fullmatch(own)}
        assert following(text, tokenizer) == expected
        read(text, tokenizer, piece)
        left -= len(piece)


def test_logits_beyond_the_vocabulary_are_masked(tokenizer: Tokenizer) -> None:
    text = Constraint.of_regex(tokenizer, "[^x]*")
    assert max(following(text, tokenizer, extra=7)) < tokenizer.vocab_size


def test_a_copy_goes_on_by_itself(tokenizer: Tokenizer) -> None:
    one = read(Constraint.of_regex(tokenizer, "a(b|c)"), tokenizer, "a")
    other = one.copy()
    read(one, tokenizer, "b")
    assert one.finished and not other.finished
    assert read(other, tokenizer, "c").finished


def test_a_token_that_must_not_follow_is_refused(tokenizer: Tokenizer) -> None:
    text = Constraint.of_regex(tokenizer, "a")
    with pytest.raises(UsageError, match=r"token \d+ must not follow"):
        text.accept(tokenizer.encode("b")[0])


def test_json_of_a_schema(tokenizer: Tokenizer) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 12}, "s": {"enum": ["é", None]}},
        "required": ["n"],
        "additionalProperties": False,
    }
    for value in ({"n": 3}, {"n": 12, "s": "é"}, {"n": 9, "s": None}):
        for indent in (None, 2):
            text = Constraint.of_schema(tokenizer, schema if indent else json.dumps(schema))
            assert read(text, tokenizer, json.dumps(value, indent=indent, ensure_ascii=False)).finished
    for wrong in ('{"n": 13', '{"s"', '{"n": 3, "x"', "[", '{"n": 3, "s": "e'):
        with pytest.raises((AssertionError, UsageError)):
            read(Constraint.of_schema(tokenizer, schema), tokenizer, wrong)


def test_line_breaks_do_not_go_on(tokenizer: Tokenizer) -> None:
    text = read(Constraint.of_schema(tokenizer, {"type": "array", "minItems": 1}), tokenizer, "[\n  ")
    newline = tokenizer.encode("\n")[0]
    assert newline not in following(text, tokenizer)


def test_marks_in_a_grammar(tokenizer: Tokenizer) -> None:
    """A control token is one token; a mark that is none is text, and so is one in quotes."""
    start = tokenizer.encode("<|im_start|>", parse_special=True)
    token = Constraint.of_grammar(tokenizer, "start: <[<|im_start|>]>")
    assert following(token, tokenizer) == set(start)
    text = Constraint.of_grammar(tokenizer, 'start: <[[TOOL_CALLS]]> "<[<|im_start|>]>" /<[x]>/')
    assert read(text, tokenizer, "[TOOL_CALLS]<[").finished is False
    assert start[0] not in following(text, tokenizer)
    assert following(Constraint.of_grammar(tokenizer, f"start: <[{start[0]}]>"), tokenizer) == set(start)


def test_grammars_of_llama_cpp(tokenizer: Tokenizer) -> None:
    text = 'root ::= "yes" digits?\ndigits ::= [0-9]+ | "." digits\n'
    assert read(Constraint.of_grammar(tokenizer, text), tokenizer, "yes.12").finished is False
    with pytest.raises((AssertionError, UsageError)):
        read(Constraint.of_grammar(tokenizer, text), tokenizer, "yes!")
    with pytest.raises(UsageError, match="the grammar cannot be read"):
        Constraint.of_grammar(tokenizer, 'root ::= "yes')


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def many(count: int) -> dict[str, Any]:
    return {"properties": {f"k{n}": {} for n in range(count)}}


def crossed(ways: int, times: int) -> dict[str, Any]:
    parts = [{"anyOf": [{"properties": {f"k{w}_{t}": {}}} for w in range(ways)]} for t in range(times)]
    return {"type": "object", "allOf": parts}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "the JSON schema cannot be read: "),
        ({"type": "nonsense"}, "the JSON schema cannot be enforced: Invalid type: nonsense"),
        ({"$ref": "https://example.com/schema"}, "retrieving it failed"),
        ({"$ref": "file:///etc/passwd"}, "retrieving it failed"),
        ({"$ref": "#"}, "no text fits the JSON schema"),
        ({"type": "string", "enum": [1]}, "cannot be enforced: Unsatisfiable schema"),
        ({"uniqueItems": True}, "cannot be enforced: Unimplemented keys"),
        (deep(100_000), "the JSON schema cannot be read: maximum recursion depth"),
        (json.dumps(deep(400)), "the JSON schema cannot be read: recursion limit"),
        ({"enum": [f"value {n}" for n in range(100_000)]}, "characters; at most 262144 can be enforced"),
        (many(5000), "has too many properties: at most 1414"),
        ({"anyOf": [many(500) for _ in range(9)]}, "has too many properties"),
        (crossed(4, 8), "cannot be enforced: schema too large"),
        (crossed(4, 6), "cannot be enforced: (grammar size|schema too large)"),
        ({"type": "string", "pattern": "(?=x)"}, "look-ahead"),
        ({"type": "integer", "minimum": 10**400}, "cannot be read: number out of range"),
        ([1], "cannot be read"),
    ],
)  # fmt: skip
def test_hostile_schemas_are_refused_soon(tokenizer: Tokenizer, schema: Any, message: str) -> None:
    started = time.process_time()
    with pytest.raises(UsageError, match=message) as error:
        Constraint.of_schema(tokenizer, schema)
    assert time.process_time() - started < SECONDS
    assert "\n" not in str(error.value) and len(str(error.value)) < 320


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (Constraint.of_regex, "(", "the regular expression cannot be enforced"),
        (Constraint.of_regex, "x" * (1 << 19), "has 524288 characters"),
        (Constraint.of_grammar, "start: nothing", "the grammar cannot be enforced: .*unknown name"),
        (Constraint.of_grammar, "start: start", "no text fits the grammar"),
        (Constraint.of_grammar, "start: <|no_such_token|>", "the grammar cannot be enforced"),
        (Constraint.of_grammar, f"start: %json {json.dumps(many(3000))}", "too many properties"),
    ],
)
def test_hostile_grammars_are_refused_soon(tokenizer: Tokenizer, make: Any, text: str, message: str) -> None:
    started = time.process_time()
    with pytest.raises(UsageError, match=message):
        make(tokenizer, text)
    assert time.process_time() - started < SECONDS


def test_what_turns_out_to_be_too_complex_is_refused(tokenizer: Tokenizer) -> None:
    text = Constraint.of_regex(tokenizer, "((a{1,1000}){1,1000}){1,1000}")
    with pytest.raises(UsageError, match="too complex: lexer error"):
        read(text, tokenizer, "a" * 1000)


def test_tables_are_made_once_and_go_with_their_tokenizer(smollm2: Path) -> None:
    tokenizer = Tokenizer.from_gguf(gguf.open(smollm2))
    Constraint.of_regex(tokenizer, "x")
    made = constraint._vocabulary(tokenizer)
    Constraint.of_schema(tokenizer, {})
    assert constraint._vocabulary(tokenizer) is made
    gone, count = weakref.ref(tokenizer), len(constraint._vocabularies)
    del tokenizer, made
    gc.collect()
    assert gone() is None and len(constraint._vocabularies) == count - 1
