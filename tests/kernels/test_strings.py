"""Strings of GGUF arrays, decoded and found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import BitwrightError
from bitwright.kernels.strings import Strings


def test_strings_of_an_array() -> None:
    texts = [b"", b"plain", "zwölf ▁ 🙂".encode(), b"\xff\xfe not UTF-8", bytes(range(256))]
    region = b"".join(len(text).to_bytes(8, "little") + text for text in texts)
    found, decoded = Strings(region, len(texts)), [text.decode("utf-8", "surrogateescape") for text in texts]
    assert found.all() == [found[index] for index in range(len(found))] == Strings.of(decoded).all() == decoded
    assert Strings(region, 2).all() == ["", "plain"] and Strings(b"", 0).all() == []
    for damaged in (region[:-1], region[:8] + b"\xff" * 8 + region[16:], region[:12], b""):
        with pytest.raises(BitwrightError, match=rf"expected 5 strings in {len(damaged)} bytes, got \d"):
            Strings(damaged, len(texts))
    for index in (-1, 5):
        with pytest.raises(IndexError):
            found[index]


def test_strings_that_an_encoder_can_hold() -> None:
    assert Strings.of(["a", "zwölf", "\0"]).readable
    assert not Strings.of(["a", ""]).readable and not Strings.of(["a", "\udcff"]).readable
    halves = ["\udcc3", "\udcb6"]  # the bytes of ö
    assert not Strings.of(halves).readable and Strings.of(halves)[0] == "\udcc3"


TEXT = st.text("abö🙂", max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=30), st.lists(TEXT, max_size=5), TEXT)
def test_strings_are_found_wherever_they_are(texts: list[str], wanted: list[str], whole: str) -> None:
    strings = Strings.of(texts)
    assert strings.places(wanted) == [at for at, text in enumerate(texts) if text in wanted]
    assert strings.numbers(wanted) == {text: at for at, text in enumerate(texts) if text in wanted}
    assert strings.inside(whole) == [at for at, text in enumerate(texts) if text and text in whole]
    assert strings.longest == max(map(len, texts), default=0) and len(strings) == len(texts)
