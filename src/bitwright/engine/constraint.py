"""Constrained output: which tokens may follow, so that a text fits a JSON schema, a regular expression or a grammar.

llguidance does the parsing. Its tables over a vocabulary are made once per tokenizer, in about a second.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.gbnf_to_lark import any_to_lark
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UsageError
from bitwright.model.tokenizer import Tokenizer

# What is refused, is refused within a second of CPU time.
LONGEST = 1 << 18  # characters of a schema or grammar
MOST_PROPERTIES = 2_000_000  # the sum of squares over the lists of properties: the work for each grows so
LIMITS = LLParserLimits(initial_lexer_fuel=500_000, max_grammar_size=30_000, max_items_in_row=8_000)
SPACE = r" |\n[ \t]{0,40}"  # between the parts of JSON; without a bound, small models go on with line breaks
_MESSAGE = 240  # characters of an error
# A mark, unless it stands within a string or a regular expression.
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|/(?:[^/\\]|\\.)*/|<\[(?P<mark>(?!\^?[\d,-]+\]>)\S+?)\]>')


class Constraint:
    """What a text must be, and how much of it there is: `allowed` masks logits, `accept` takes the token drawn.

    The text may end (by a token of `tokenizer.end_of_generation`) only where it is complete; once it is `finished`
    nothing else may follow. Not for use from two threads at once.
    """

    def __init__(self, tokenizer: Tokenizer, matcher: LLMatcher) -> None:
        self._tokens, self._matcher = tokenizer.vocab_size, matcher
        self._bits = allocate_token_bitmask(1, self._tokens)

    @classmethod
    def of_schema(cls, tokenizer: Tokenizer, schema: Mapping[str, Any] | str) -> Constraint:
        """JSON that is valid by a JSON schema. UsageError if it is no schema, too complex, or needs what llguidance
        cannot enforce; a remote reference is never followed."""
        try:
            text = schema if isinstance(schema, str) else json.dumps(schema)
            _check_length("JSON schema", text)
            _check_properties(json.loads(text))
            grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": SPACE})
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"the JSON schema cannot be read: {_line(error)}") from None
        return cls(tokenizer, _matcher(tokenizer, grammar, "JSON schema"))

    @classmethod
    def of_regex(cls, tokenizer: Tokenizer, regex: str) -> Constraint:
        """A text that a regular expression of Rust's regex crate matches as a whole. UsageError if it is none or is
        too complex."""
        _check_length("regular expression", regex)
        return cls(tokenizer, _matcher(tokenizer, LLMatcher.grammar_from_regex(regex), "regular expression"))

    @classmethod
    def of_grammar(cls, tokenizer: Tokenizer, grammar: str) -> Constraint:
        """A text that a grammar derives: llama.cpp's GBNF, or llguidance's dialect of Lark. In Lark `<[MARK]>` is the
        control token MARK, or that text if the vocabulary has no such token. UsageError if it is no grammar or is too
        complex."""
        _check_length("grammar", grammar)
        try:
            grammar = any_to_lark(grammar)
        except Exception as error:  # the parser of GBNF raises what it likes
            raise UsageError(f"the grammar cannot be read: {_line(error)}") from None
        grammar, control = _spaced(grammar), _vocabulary(tokenizer).control

        def resolved(found: re.Match[str]) -> str:
            mark = found["mark"]
            return found[0] if mark is None else f"<[{control[mark]}]>" if mark in control else json.dumps(mark)

        lark = LLMatcher.grammar_from_lark(_MARK.sub(resolved, grammar))
        return cls(tokenizer, _matcher(tokenizer, lark, "grammar"))

    def copy(self) -> Constraint:
        """Another text that has come as far; each goes on by itself."""
        other = Constraint.__new__(Constraint)
        other._tokens, other._matcher, other._bits = self._tokens, self._matcher.deep_copy(), self._bits.copy()
        return other

    @property
    def finished(self) -> bool:
        """Whether the text is complete and nothing but its end may follow."""
        return self._matcher.is_stopped()

    def allowed(self, logits: NDArray[np.float32]) -> None:
        """Set the logits (vocabulary,) of tokens that must not follow to -inf. UsageError if that needs more work than
        a constraint is worth."""
        fill_next_token_bitmask(self._matcher, self._bits)
        if self._matcher.is_error():
            raise UsageError(f"what the text must be is too complex: {_line(self._matcher.get_error())}")
        count = min(self._tokens, len(logits))
        allowed = np.unpackbits(self._bits[0].view(np.uint8), count=count, bitorder="little").view(np.bool_)
        np.copyto(logits[:count], -np.inf, where=~allowed)
        logits[count:] = -np.inf

    def accept(self, id: int) -> None:
        """Take the token that was drawn. UsageError if it must not follow."""
        if not self._matcher.consume_token(id):
            raise UsageError(f"token {id} must not follow: {_line(self._matcher.get_error())}")


class _Vocabulary:
    """A tokenizer as llguidance sees it. control: the ids of control tokens by their text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.end_of_generation:
            raise BitwrightError("the vocabulary has no token that ends a text, which a constraint needs")
        ids, self._encode = range(tokenizer.vocab_size), weakref.WeakMethod(tokenizer.encode)
        self.tokens = [tokenizer.token_bytes(id) for id in ids]
        self.special_token_ids = [id for id in ids if tokenizer.is_special(id)]
        self.control = {tokenizer.token_text(id): id for id in self.special_token_ids}
        self.eos_token_id, self.bos_token_id = min(tokenizer.end_of_generation), tokenizer.bos
        self.tables = LLTokenizer(TokenizerWrapper(self), eos_token=sorted(tokenizer.end_of_generation))

    def __call__(self, text: bytes) -> list[int]:
        encode = self._encode()
        assert encode is not None, "its tokenizer is gone"
        return encode(text.decode("utf-8", "replace"), add_special_tokens=False)


_vocabularies: weakref.WeakKeyDictionary[Tokenizer, _Vocabulary] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _vocabulary(tokenizer: Tokenizer) -> _Vocabulary:
    with _lock:
        if tokenizer not in _vocabularies:
            _vocabularies[tokenizer] = _Vocabulary(tokenizer)
        return _vocabularies[tokenizer]


def _matcher(tokenizer: Tokenizer, grammar: str, what: str) -> LLMatcher:
    matcher = LLMatcher(_vocabulary(tokenizer).tables, grammar, log_level=0, limits=LIMITS)
    if not matcher.is_error():
        matcher.compute_bitmask()  # finds whether any text fits, and what is too much work
    error = matcher.get_error()
    if error.startswith("NoExtension"):
        raise UsageError(f"no text fits the {what}")
    if error:
        raise UsageError(f"the {what} cannot be enforced: {_line(error)}")
    return matcher


def _check_length(what: str, text: str) -> None:
    if len(text) > LONGEST:
        raise UsageError(f"the {what} has {len(text)} characters; at most {LONGEST} can be enforced")


def _spaced(grammar: str) -> str:
    """A grammar whose JSON has no more whitespace than a schema's. UsageError if there are too many properties."""
    pieces, start = list[str](), 0
    for found in re.finditer(r"%json\s*", grammar):
        if found.start() >= start:
            pieces.append(grammar[start : found.end()])
            start = found.end()
            with contextlib.suppress(ValueError, RecursionError):  # llguidance says what is wrong
                schema, start = json.JSONDecoder().raw_decode(grammar, start)
                _check_properties(schema)
                options = {"x-guidance": {"whitespace_pattern": SPACE}}
                pieces.append(json.dumps(options | schema if isinstance(schema, dict) else schema))
    return "".join(pieces) + grammar[start:]


def _check_properties(schema: Any) -> None:
    """UsageError if objects have more properties than can be enforced."""
    waiting, squares = [schema], 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            squares += sum(
                len(own) ** 2 for key, own in part.items() if key.endswith("roperties") and isinstance(own, dict)
            )
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    if squares > MOST_PROPERTIES:
        raise UsageError(f"the JSON schema has too many properties: at most {MOST_PROPERTIES**0.5:.0f} can be enforced")


def _line(error: object) -> str:
    """The first paragraph of a message, on one line."""
    return " ".join(str(error).partition("\n<")[0].split())[:_MESSAGE]
