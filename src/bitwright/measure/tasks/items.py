"""Tasks from one file: one JSON object per line (or BIG-Bench-Hard's JSON), in one of these forms.

    choice    {"query", "choices", "gold"}                  the likeliest of the choices
    schema    {"context_options", "continuation", "gold"}   the context that makes the continuation likeliest
    last      {"context", "continuation"}                   the continuation, word for word, as the likeliest text
    answer    {"context", "answer"}                         a number or text after "chain_of_thought", if there is one
    humaneval {"prompt", "test", "entry_point"}             a function that passes its tests
    mbpp      {"text", "test_list"}                         a function that passes its tests

These are the forms of llm-foundry's evaluation sets, of HumanEval and of MBPP.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.errors import FileFormatError, UsageError
from bitwright.io import inputs, json_text
from bitwright.io.values import described

FORMS = {
    "choice": ("query", "choices", "gold"),
    "schema": ("context_options", "continuation", "gold"),
    "last": ("context", "continuation"),
    "answer": ("context", "answer"),
    "humaneval": ("prompt", "test", "entry_point"),
    "mbpp": ("text", "test_list"),
}
Item = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A name, the form of the items, and the items; `shots` of them are shown solved and not scored."""

    name: str
    form: str
    items: list[Item]
    shots: list[Item]


def load(path: Path, limit: int | None = None, shots: int = 0) -> Task:
    """A task from a file: its first `shots` items as examples, then the next `limit` items.

    Raises UsageError if the file cannot be read or holds too few items, FileFormatError if a line does not have the
    form of the first one.
    """
    try:
        with path.open("rb") as file:
            text = inputs.whole(file, path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    items = _parsed(path, text)
    form = _form(path, items[0], 1)
    for number, item in enumerate(items, 1):
        _check(path, item, form, number)
    if len(items) <= shots:
        raise UsageError(f"{path} holds {len(items)} items: too few to show {shots} of them and score others")
    return Task(path.stem, form, items[shots:][:limit], items[:shots])


def _parsed(path: Path, text: str) -> list[Item]:
    if path.suffix == ".json":
        return _examples(path, json_text.parse(text, path))
    lines = enumerate(text.splitlines(), 1)
    items = [json_text.parse(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    if not items:
        raise UsageError(f"{path} holds no items")
    return items


def _examples(path: Path, found: Any) -> list[Item]:
    """The items of BIG-Bench-Hard's JSON."""
    examples = found.get("examples") if isinstance(found, dict) else None
    if not isinstance(examples, list) or not examples:
        got = described(found if examples is None else examples)
        raise FileFormatError(path, None, '{"examples": [{"input", "target"}]}', got)
    for number, example in enumerate(examples, 1):
        if not isinstance(example, dict) or not {"input", "target"} <= example.keys():
            raise FileFormatError(path, None, f"input and target in example {number}", described(example))
    return [{"context": example["input"], "answer": example["target"]} for example in examples]


def _form(path: Path, item: Any, number: int) -> str:
    keys = set(item) if isinstance(item, dict) else set()
    found = [form for form, needed in FORMS.items() if keys >= set(needed)]
    if not found:
        known = "; ".join(f"{form}: {', '.join(needed)}" for form, needed in FORMS.items())
        raise FileFormatError(path, None, f"one of these forms in line {number} ({known})", f"{sorted(keys)}")
    return found[0]


def _check(path: Path, item: Any, form: str, number: int) -> None:
    """FileFormatError if a field is missing or of the wrong type."""
    if not isinstance(item, dict) or not set(item) >= set(FORMS[form]):
        raise FileFormatError(path, None, f"{', '.join(FORMS[form])} in line {number}, as in line 1", f"{item}"[:80])
    lists = [name for name in ("choices", "context_options", "test_list") if name in FORMS[form]]
    for name in FORMS[form]:
        value = item[name]
        good = _texts(value) if name in lists else isinstance(value, (int if name == "gold" else str))
        if not good:
            kind = "texts" if name in lists else "a number" if name == "gold" else "a text"
            raise FileFormatError(path, None, f"{name} to be {kind} in line {number}", f"{value!r}"[:80])
    if "gold" in FORMS[form] and not 0 <= item["gold"] < len(item[lists[0]]):
        raise FileFormatError(path, None, f"gold below {len(item[lists[0]])} in line {number}", str(item["gold"]))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def asked(query: str) -> str:
    """A question in the usual form: `Question: ...`, then a line `Answer:` (which lm-eval and llm-foundry add)."""
    query = query.rstrip()
    known = query.startswith("Question:") and not query.endswith(":")
    return f"{query}\nAnswer:" if known else query


def joined(context: str, continuation: str) -> tuple[str, str]:
    """Context and continuation with one space between; it belongs to the continuation, as tokenizers expect."""
    space = " " if context and continuation[:1] not in (" ", "\n", ",", ".", ":", ";", "?", "!") else ""
    return context.rstrip(" "), space + continuation
