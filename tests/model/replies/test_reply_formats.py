"""The formats of the families: what their templates write is read back; what is broken is kept as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import CALLS, TOOLS, calls_in, fed, parsed, said
from reply_templates import TEMPLATES

from bitwright.model.chat import ChatTemplate
from bitwright.model.replies import Arguments, Reasoning, Text, reply_format

ASKED = [{"role": "user", "content": "How?"}]
TEXT, THOUGHT = "I look <b>.", "Hm.\n\nSo <c>."
FORMATS = {name: reply_format(source) for name, source in TEMPLATES.items()}
ENDS = ("<end>", "<|call|>")  # of a generation: those tokens are never fed
PIECES = ['{"name": "α", "arguments": ', "<function=α>", "<parameter=", "call:α{", "α\n", "}"]
MARKS = {name: [*sorted(format.kept - {"[CALL_ID]"}), *PIECES] for name, format in FORMATS.items()}


def replied(name: str, **message: Any) -> tuple[str, str]:
    """The prompt, and the reply as the template writes it."""
    template = ChatTemplate({"default": TEMPLATES[name]}, {})
    turn = {"role": "assistant", "content": "", **message}
    prompt, whole = template.render(ASKED), template.render([*ASKED, turn], add_generation_prompt=False)
    assert whole.startswith(prompt)
    reply = whole[len(prompt) :]
    return prompt, reply.removesuffix(next((end for end in ENDS if reply.endswith(end)), ""))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_its_format(name: str) -> None:
    assert FORMATS[name].name == name.partition(",")[0]


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_writes_is_read_back(name: str) -> None:
    text = "" if name == "llama3" else TEXT
    thought = "" if name in ("llama3", "mistral, later") else THOUGHT
    prompt, reply = replied(name, content=text, reasoning_content=thought, tool_calls=CALLS)
    parts = parsed(FORMATS[name], reply, prompt)
    assert calls_in(parts) == [(c["function"]["name"], c["function"]["arguments"]) for c in CALLS]
    assert [part for part in parts if isinstance(part, (Text, Reasoning))] == [
        *([Reasoning(thought)] if thought else []), *([Text(text)] if text else []),
    ]  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_single_call_ends_a_reply(name: str) -> None:
    """Before a second, or text, can begin."""
    text = "" if name == "llama3" else TEXT
    prompt, reply = replied(name, content=text, tool_calls=CALLS)
    whole, parser = parsed(FORMATS[name], reply, prompt), FORMATS[name].reply(prompt, TOOLS, single=True)
    first = whole[: 2 + bool(text)]
    assert fed(parser, reply) == first and parser.complete and calls_in(first)[0][0] == "weather"
    parser = FORMATS[name].reply(prompt, TOOLS, single=True)
    fed(parser, [character for character in reply if not parser.complete])
    assert parser.complete
    parser = FORMATS[name].reply(prompt, TOOLS, single=True)
    assert fed(parser, replied(name, content=TEXT)[1]) == [Text(TEXT)] and not parser.complete


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_without_calls(name: str) -> None:
    prompt, reply = replied(name, content=TEXT)
    assert parsed(FORMATS[name], reply, prompt) == [Text(TEXT)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_without_tools_calls_are_text(name: str) -> None:
    prompt, reply = replied(name, tool_calls=CALLS)
    parts = fed(FORMATS[name].reply(prompt), [reply])
    assert {type(part) for part in parts} == {Text}
    assert all(value in said(parts) for value in ("Ål", "0.5", "-1"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_call_that_breaks_off_is_kept(name: str) -> None:
    """Wherever a reply ends, its parts begin those of the whole reply, and what was held back comes out in the end."""
    prompt, reply = replied(name, tool_calls=CALLS)
    whole = fed(FORMATS[name].reply(prompt, TOOLS), [reply])
    for end in range(len(reply)):
        parser = FORMATS[name].reply(prompt, TOOLS)
        parts = parser.feed(reply[:end])
        assert len(parts) <= len(whole)
        for part, other in zip(parts, whole, strict=False):
            assert part[:-1] == other[:-1] and other[-1].startswith(part[-1])
        rest = said([*parts, *parser.finish()])
        for word in ("weather", "Ål", "0.5", "search", "-1"):
            assert rest.count(word) >= reply[:end].count(word), reply[:end]


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
def test_random_replies_lose_nothing(name: str, data: st.DataObject) -> None:
    """Words that are not marks come out in order, though some as names and keys; and the same however it is cut."""
    piece = st.one_of(st.sampled_from(MARKS[name]), st.text("βγ \n", max_size=3))
    pieces = data.draw(st.lists(piece, max_size=12))
    text, tools = "".join(pieces), [{"name": "α"}, {"name": "β"}]
    parts = fed(FORMATS[name].reply("", tools), pieces)
    assert parts == fed(FORMATS[name].reply("", tools), [text])
    if name == "harmony":  # whose headers are read over
        own = r"((?!<\|(start|channel|message)\|>).)*"
        text = re.sub(rf"(<\|start\|>{own})?(<\|channel\|>{own})?<\|message\|>", "", text, flags=re.S)
    letters = [letter for letter in text if letter in "βγ"]
    assert [letter for letter in said(parts) if letter in "βγ"] == letters


@pytest.mark.parametrize("name", TEMPLATES)
@given(text=st.text(), cut=st.integers(0, 20))
def test_other_text_passes_as_it_is(name: str, text: str, cut: int) -> None:
    assert fed(FORMATS[name].reply("", TOOLS), [text[:cut], text[cut:]]) == ([Text(text)] if text else [])


@pytest.mark.parametrize("name", TEMPLATES)
def test_strings_come_as_they_are_written(name: str) -> None:
    """A long argument does not wait for its end."""
    arguments = {"city": "word " * 50}
    prompt, reply = replied(
        name, tool_calls=[{"id": "abcdefgh0", "function": {"name": "weather", "arguments": arguments}}]
    )
    parser, end = FORMATS[name].reply(prompt, TOOLS), reply.rindex("word")
    parts = [part for character in reply[:end] for part in parser.feed(character)]
    assert "".join(part[-1] for part in parts if isinstance(part, Arguments)).rstrip().endswith("word")
    assert sum("word" in part[-1] for part in parts) == 0 and len(parts) > 200
