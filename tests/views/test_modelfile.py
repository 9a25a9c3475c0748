"""A Modelfile says of a file what Ollama needs to know, its chat template in Ollama's language included."""

from __future__ import annotations

import pytest

from bitwright.model.chat import ChatTemplate
from bitwright.model.turns import Turns, turns
from bitwright.views.modelfile import template

CHATML = (
    "{% for m in messages %}"
    "{% if loop.first and m.role != 'system' %}<|im_start|>system\nBe kind<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FOLDED = (  # as Gemma 3: a system message opens the first user's turn
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ first if loop.first else '' }}"
    "{{ m.content }}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
ENDED = (  # as Phi 3.5: what nobody answers ends the text
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)


def chat(source: str) -> ChatTemplate:
    return ChatTemplate({"default": source}, {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.mark.parametrize("source", [CHATML, FOLDED, ENDED])
@pytest.mark.parametrize("system", [None, "Be terse."])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_texts_around_turns_are_those_of_the_template(source: str, system: str | None, count: int) -> None:
    found = turns(chat(source))
    assert found
    said = [f"said {index}" for index in range(count)]
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(said)]
    first = [{"role": "system", "content": system}] if system else []
    expected = chat(source).render(first + messages, count % 2 == 1)
    assert found.render(said, system) == expected.removesuffix("</s>")


def test_texts_that_are_not_fixed() -> None:
    """A count, today's date, a turn that is left out, a refused system message."""
    assert turns(chat(CHATML.replace("<|im_end|>", "<|{{ loop.index }}|>"))) is None
    assert turns(chat(CHATML.replace("Be kind", "{{ strftime_now('%Y') }}"))) is None
    assert turns(chat(CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else '' }}"))) is None
    refusal = "{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    refusing = CHATML.replace("{% if loop", refusal + "{% if loop")
    assert turns(chat(refusing)) is None


def test_a_template_of_ollama() -> None:
    found = turns(chat(CHATML))
    assert found
    assert template(found) == (
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n"
        "{{ else }}<|im_start|>system\nBe kind<|im_end|>\n{{ end }}"
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{ if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        "{{ if $last }}<|im_start|>assistant\n{{ end }}"
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}'
        "{{ if not $last }}<|im_end|>\n{{ end }}{{ end }}{{ end }}"
    )
    folded = turns(chat(FOLDED))
    assert folded and folded.folded
    made = template(folded, "<s>")
    assert made.startswith("{{ range") and "{{ if and $.System (le $i 1) }}{{ $.System }}\n\n{{ end }}" in made
    braces = template(Turns("", ("", ""), False, ("{{ x }}", ""), ("", ""), ""))
    assert '{{ "{{" }} x }}{{ .Content }}' in braces
