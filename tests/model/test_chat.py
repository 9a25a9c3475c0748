"""Chat templates: equal to Hugging Face's rendering; hostile ones end in one line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bitwright.errors import BitwrightError, UsageError
from bitwright.io import gguf
from bitwright.model import chat_budget
from bitwright.model.chat import ChatTemplate
from bitwright.model.tokenizer import Tokenizer

HI = [{"role": "user", "content": 'Hi "é" <b>'}]


def render(source: str, messages: list[dict[str, Any]] = HI, **variables: Any) -> str:
    return ChatTemplate({"default": source}, {"bos_token": "<s>"}).render(messages, **variables)


def test_a_template_of_a_model_with_its_default_system_message(smollm2: Path) -> None:
    template = ChatTemplate.from_gguf(gguf.open(smollm2))
    assert template is not None
    begin = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    prompt = begin + "<|im_start|>user\nHi<|im_end|>\n"
    hi = [{"role": "user", "content": "Hi"}]
    assert template.render(hi, add_generation_prompt=False) == prompt
    assert template.render(hi) == prompt + "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ bos_token }}{% if tools is none %}no tools{% endif %}", "<s>no tools"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),  # trim_blocks and lstrip_blocks
        (
            "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}"
            "{{ i }}{% endfor %}",
            "02",
        ),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "Hi \\"é\\" <b>"}'),
        ("{{ {'b': 1, 'a': []} | tojson(indent=1, sort_keys=true) }}", '{\n "a": [],\n "b": 1\n}'),
        ("{% for m in messages %}{{ loop.first ~ loop.last ~ loop.length }}{% endfor %}", "TrueTrue1"),
        ("{{ messages | map(attribute='role') | join(';') }} {{ messages[::-1] | length }}", "user 1"),
        (
            "{{ ' a-b '.strip().split('-')[-1] }}{{ {'k': 1}.items() | list }}{{ 'abc'.replace('b', 'xx') }}",
            "b[('k', 1)]axxc",
        ),
        ("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% macro say(x) %}<{{ x }}>{% endmacro %}{{ say(1) }}{{ say('two') }}", "<1><two>"),
        ("{% generation %}words{% endgeneration %}", "words"),
        ("{{ missing }}|{{ missing is defined }}|{{ none }}", "|False|None"),
        ("{{ '%s-%s' % (1, 'x') }} {{ '{}'.format(2) }} {{ 7 % 4 }} {{ 'ab' * 2 }} {{ 2 ** 10 }}", "1-x 2 3 abab 1024"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ extra }}", "given"),
    ],
)
def test_templates_render_as_in_hugging_face(source: str, expected: str) -> None:
    assert render(source, extra="given") == expected


def test_tools_reach_the_template_and_choose_its_variant() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    templates = {"default": "plain", "tool_use": "{{ tools | tojson }}", "rag": "{{ documents }}"}
    template = ChatTemplate(templates, {})
    assert template.render(HI) == "plain"
    assert json.loads(template.render(HI, tools=tools)) == tools
    assert ChatTemplate(templates, {}, "rag").render(HI, documents="some") == "some"


def test_named_templates_of_a_file() -> None:
    metadata = {
        "tokenizer.chat_template": "{{ eos_token }}",
        "tokenizer.chat_template.tool_use": "tools",
        "tokenizer.chat_templates": ["tool_use"],
        "tokenizer.ggml.tokens": ["a", "</s>"],
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.bos_token_id": 7,
    }
    template = ChatTemplate.from_metadata(metadata)
    assert template is not None and sorted(template.templates) == ["default", "tool_use"]
    assert template.render(HI) == "</s>" and template.source == "{{ eos_token }}"
    named = ChatTemplate.from_metadata(metadata, "tool_use")
    assert named is not None and named.render(HI) == "tools"
    with pytest.raises(UsageError, match="no chat template 'rag'; it has default, tool_use"):
        ChatTemplate.from_metadata(metadata, "rag")
    assert ChatTemplate.from_metadata({"tokenizer.ggml.tokens": []}) is None


@pytest.mark.parametrize("source", ["{{ bos_token }}Hi", "Hi"])
def test_the_first_token_comes_once(data: Path, source: str) -> None:
    tokenizer = Tokenizer.from_gguf(gguf.open(data / "tokenizers/ggml-vocab-baichuan.gguf"))
    template = ChatTemplate({"default": source}, {"bos_token": "<s>"})
    assert template.encode(tokenizer, HI) == tokenizer.encode("Hi")


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10 ** 12) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% set l = range(99999) | list %}{% for i in l %}{% if -1 in l %}{% endif %}{% endfor %}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'x' }}",
        "{{ [0] * 10 ** 9 }}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}"
        "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
        "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
        "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
        "{{ ('b' * 99999).join(['a'] * 99999) }}",
        "{{ (['a'] * 99999) | join('b' * 99999) }}",
        "{{ 'x'.ljust(10 ** 9) }}",
        "{{ 'x' | indent(10 ** 9) }}",
        "{{ 'x' | center(10 ** 9) }}",
        "{{ messages | tojson(indent=10 ** 9) }}",
        "{{ 1.5 | round(10 ** 9, 'ceil') }}",
        "{{ (5).to_bytes(10 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10 ** 9, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 10 ** 9) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ strftime_now('%1000000000d') }}",
        "{{ lipsum(10 ** 9) }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '' | attr('__class__') }}",
        "{{ messages.append(1) }}",
        "{{ range.__globals__ }}",
        "{{ raise_exception('no\nsystem\nmessages') }}",
        "{% include 'other' %}",
        # tests, inside `select` or not, and comparisons over long values
        "{% set s = 'a' * 40000000 %}{{ (['b'] * 300000) | select('in', s) | list | length }}",
        "{% set s = 'a' * 4000000 %}{{ (['b'] * 30000) | select('in', s) | list | length }}",
        "{% set s = 'a' * 4000000 %}{% for i in range(99999) %}{{ 'b' is in(seq=s) }}{% endfor %}",
        "{% set s = 'a' * 4000000 %}{% set t = s[1:] ~ 'a' %}{% for i in range(99999) %}{{ s <= t <= s }}{% endfor %}",
        "{% set s = 'a' * 4000000 %}{% for i in range(99999) %}{{ s is lower }}{% endfor %}",
        # searches, conversions and copies
        "{{ ('a' * 4000000).rfind('a' * 1000000 ~ 'b' ~ 'a' * 1000000) }}",
        "{{ ('a' * 4000000) | trim('b' * 2000000 ~ 'a') }}",
        "{{ ('<!---->' * 500000) | striptags }}",
        "{{ 'x'.encode('punycode') }}",
        "{{ ('%(a)s' * 99999) % {'a': 'x' * 99999} }}",
        "{{ ('{0}' * 99999).format('x' * 99999) }}",
        "{{ ('f' * 99999) | int(0, 16) // 3 }}",
        "{{ {}.fromkeys('ab') }}",
        "{{ (['a'] * 9999) | map(attribute='0' ~ '.0' * 99999) | list }}",
        "{{ (range(99999) | list) | tojson(separators=('x' * 9999, ':')) }}",
        "{% set s = 'a' * 4000000 %}{{ [" + "s[1:], " * 99 + "] }}",
        # before any of it runs
        "{{ a }}" * 140_000,
        "{{a}}" * 40_000,
        "{% macro a() %}{% endmacro %}" * 20_000,
        "{%macro a()%}{%endmacro%}" * 9_000,
        "{{ 0x" + "f" * 9999 + " }}",
        "{{ nothing.at.all }}",
        "{% for",
        "x" * (1 << 21),
    ],
    ids=lambda source: source[:50],
)
def test_a_hostile_or_broken_template_ends_in_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_budget, "SECONDS", 0.7)
    started = time.thread_time()
    with pytest.raises(BitwrightError, match="^the model's chat template failed: ") as caught:
        render(source)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    assert time.thread_time() - started < 5


@pytest.mark.parametrize("loop", ["range(0, 99999 * m, m) | unique | list", "dict(range(0, 99998 * m, m) | batch(2))"])
def test_numbers_that_share_a_hash_end_in_time(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes as long to find in a table as all before it."""
    monkeypatch.setattr(chat_budget, "SECONDS", 0.2)
    with pytest.raises(BitwrightError, match=r"more than a prompt needs \(.* or 0.2\d* s\)"):
        render("{% set m = 2 ** 61 - 1 %}{{ " + loop + " }}")


def test_a_long_honest_conversation_is_within_the_budget() -> None:
    messages = [{"role": "user", "content": "word " * 400}, {"role": "assistant", "content": "reply " * 400}] * 500
    source = (
        "{% set n = namespace(seen=0) %}{% for m in messages %}"
        "{% if m['role'] == 'user' %}{% set n.seen = n.seen + 1 %}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content | trim + '<|im_end|>\n' }}{% endfor %}{{ n.seen }}"
    )
    assert render(source, messages).endswith("<|im_end|>\n500")


def test_the_budget_grows_with_the_conversation() -> None:
    """A template that copies the whole prompt for every message, as Reka's does."""
    messages = [{"role": "user", "content": "word " * 2000}] * 121
    source = (
        "{% set n = namespace(out='') %}{% for m in messages %}{% set n.out = n.out + m.role + ': ' + m.content %}"
        "{% if n.out[-1:] == ' ' %}{% set n.out = n.out | trim %}{% endif %}{% endfor %}{{ n.out }}"
    )
    assert len(render(source, messages)) > 1_200_000


def test_the_time_grows_with_the_conversation() -> None:
    """Qwen 3.5's template looks through all messages for every one, Llama 3.2's at every character: 10 µs for each."""
    assert chat_budget.Budget(0, 1).seconds == pytest.approx(chat_budget.SECONDS, abs=0.01)
    assert chat_budget.Budget(0, 1500).seconds > 20
    assert chat_budget.Budget(1_200_000, 1).seconds > 15


def test_a_template_may_look_at_every_character() -> None:
    source = "{% for c in messages[0].content %}{% if c['type'] == 'image' %}{{ c['text'] }}{% endif %}{% endfor %}"
    assert render(source, [{"role": "user", "content": "x" * 40_000}]) == ""


def test_the_templates_error_is_reported() -> None:
    with pytest.raises(BitwrightError, match="failed: no system messages$"):
        render("{{ raise_exception('no\nsystem messages') }}")
