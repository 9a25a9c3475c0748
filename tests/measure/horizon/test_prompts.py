"""The prompt set is what its version says, on any machine, and nothing is calibrated on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from bitwright.calibration import mix
from bitwright.errors import BitwrightError, UsageError
from bitwright.measure.horizon import held_out, prompts, render
from bitwright.measure.horizon.draw import Draw
from bitwright.model.chat import ChatTemplate


def test_the_set() -> None:
    items = prompts.items()
    assert Counter(item.kind for item in items) == dict.fromkeys(prompts.KINDS, 60) and len(set(items)) == 300
    assert all(len(item.turns) % 2 for item in items), "the last turn is the user's"
    assert all("{" not in item.turns[0] for item in items if item.kind in ("scripts", "documents"))
    assert 4000 < min(len(item.turns[0]) for item in items if item.kind == "documents") < 6000
    command = [sys.executable, "-m", "bitwright.measure.horizon.prompts"]
    printed = subprocess.run(command, capture_output=True, check=True)
    lines = printed.stdout.decode().splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [item.messages for item in items]
    assert [item.number for item in prompts.first(2)] == [0, 1] * 5


def test_the_specification_names_the_set() -> None:
    page = (Path(__file__).parents[3] / "docs/horizon.md").read_text(encoding="utf-8")
    assert (
        prompts.SHA256 in page and f"`{prompts.VERSION}`" in page and all(f"`{kind}`" in page for kind in prompts.KINDS)
    )


def test_a_changed_set_is_refused(monkeypatch) -> None:
    prompts.items.cache_clear()
    monkeypatch.setitem(prompts.KINDS, "mathematics", lambda d, family: [f"What is 1 + {family}?"])
    with pytest.raises(BitwrightError, match="the prompts are not horizon-1: expected SHA-256 8c980411"):
        prompts.items()


def test_draws_are_those_of_every_python() -> None:
    d = Draw("seed")
    assert [d.below(1000) for _ in range(4)] == [41, 306, 978, 205]
    assert d.between(3, 3) == 3 and sorted(d.some("abc", 3)) == ["a", "b", "c"]


def test_nothing_is_calibrated_on_the_prompts() -> None:
    for source, text in mix.texts():
        held_out.check(source.name, text)
    for item in prompts.items()[::37]:  # every kind, as text and as conversations with and without escapes
        for text in (f"before\n{item.turns[-1]}\nafter", item.line, json.dumps(item.messages)):
            with pytest.raises(UsageError, match=r"mine\.txt shares 13 words in a row with prompt \d+ \(\w+\)"):
                held_out.check("mine.txt", text)
    held_out.check("mine.txt", " ".join(prompts.items()[0].turns[0].split()[:10]))


class Words:
    """A tokenizer whose ids are characters."""

    add_bos, bos = True, 1

    def encode(self, text: str, **_: object) -> list[int]:
        return [ord(letter) for letter in text]


def test_prompts_are_rendered_as_the_model_was_trained_or_plainly() -> None:
    item = prompts.Item("terminal", 0, ("List.", "ls", "a b"))
    turns = "{% for m in messages %}|{{ m.role }}:{{ m.content }}{% endfor %}"
    source = f"{{{{ strftime_now('%d %b %Y') }}}}{turns}{{% if add_generation_prompt %}}>{{% endif %}}"
    template = ChatTemplate({"default": source}, {})
    model = SimpleNamespace(tokenizer=Words(), chat_template=template)
    ids = render.ids_of(model, item)
    assert ids[0] == 1 and "".join(map(chr, ids[1:])) == "29 Nov 2026|user:List.|assistant:ls|user:a b>"
    model.chat_template = None
    plainly = "".join(map(chr, render.ids_of(model, item)[1:]))
    assert plainly == "User: List.\n\nAssistant: ls\n\nUser: a b\n\nAssistant:"
    one, two = (render.render(model, chosen) for chosen in ([item], [item, item]))
    assert render.sha256_of(one) != render.sha256_of(two) and [p.document for p in two] == [0, 1]
