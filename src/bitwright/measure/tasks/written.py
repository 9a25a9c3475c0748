"""Tasks with written answers: a number or text that must match exactly, a function that must pass its tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.rollout import writing
from bitwright.measure.rollout.writing import Prompt
from bitwright.measure.tasks import sandbox
from bitwright.measure.tasks.items import Item, Task

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.progress import Progress

TOKENS = {"answer": 256, "humaneval": 320, "mbpp": 256}  # the most an answer may have
STOPS = {
    "answer": ("\nQuestion:", "\n\n"),
    "humaneval": ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint", "\n@", "\n```"),
    "mbpp": ("\nclass ", "\nassert", '\n"""', "\nprint", "\nif ", "\n```"),
}  # as in bigcode-evaluation-harness and lm-eval
NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Written:
    """One item: whether the answer is right, what was written, why it is wrong if that is known, and whether it ended
    by itself before the limit."""

    right: bool
    text: str
    why: str
    ended: bool


def prompt(item: Item, form: str) -> str:
    """The text that the model continues."""
    if form == "humaneval":
        return str(item["prompt"])
    if form == "mbpp":
        return f'"""\n{item["text"]}\n{item["test_list"][0]}\n"""\n'
    return f"Question: {item['context']}\nAnswer:"


def solved(item: Item, form: str) -> str:
    """An item with its answer, as an example."""
    if form == "humaneval":
        return f"{item['prompt']}{item['canonical_solution']}"
    if form == "mbpp":
        return prompt(item, form) + str(item["code"]).replace("\r", "")
    thought = item.get("chain_of_thought", "").strip()
    answer = f"{thought}\n#### {item['answer']}" if thought else item["answer"]
    return f"{prompt(item, form)} {answer}"


def write(
    engine: Engine, task: Task, tokens: int | None = None, unguarded: bool = False, progress: Progress | None = None
) -> list[Written]:
    """Let a model write answers to a task of form answer, humaneval or mbpp, by the likeliest tokens, and check them.

    Raises BitwrightError if code cannot be run safely here and `unguarded` is false, UsageError if a prompt does not
    fit the context.
    """
    if task.form in ("humaneval", "mbpp") and not unguarded:
        sandbox.check()
    limit, stops = tokens or TOKENS[task.form], STOPS[task.form]
    prefix = "".join(solved(item, task.form) + "\n\n" for item in task.shots)
    prompts = [Prompt(np.array(engine.tokenizer.encode(prefix + prompt(item, task.form)), np.int32), number)
               for number, item in enumerate(task.items)]  # fmt: skip
    shorter = "show fewer examples (-s), write shorter answers (-n)" if task.shots else "write shorter answers (-n)"
    engine = writing.fitted(engine, max(len(prompt.ids) for prompt in prompts) + limit, shorter)

    def text_of(ids: Sequence[int]) -> str:
        return engine.tokenizer.decode(list(ids), skip_special=True)

    def ended(ids: Sequence[int]) -> bool:
        return any(stop in text_of(ids[-24:]).lstrip("\n ") for stop in stops)

    written = writing.write(engine, prompts, limit, until=ended, progress=progress)
    found = []
    for item, rollout in zip(task.items, written, strict=True):
        text = cut(text_of(rollout.tokens.tolist()), stops)
        right, why = check(item, task.form, text, unguarded)
        found.append(Written(right, text, why, len(rollout) < limit))
    return found


def cut(text: str, stops: Sequence[str]) -> str:
    """A text up to the first stop string that is not at its beginning."""
    start = len(text) - len(text.lstrip("\n "))
    ends = [at for stop in stops if (at := text.find(stop, start)) >= 0]
    return text[: min(ends)] if ends else text


def check(item: Item, form: str, text: str, unguarded: bool = False) -> tuple[bool, str]:
    """Whether an answer is right, and if not why."""
    if form == "answer":
        own, right = exact(text, item["answer"]), exact(item["answer"], item["answer"])
        return own == right, "" if own == right else f"{own or 'nothing'} instead of {right}"
    if form == "humaneval":
        entry, setup = item["entry_point"], item["prompt"] if _compiles(item["prompt"]) else ""
        tests = f"{item['test']}\ncheck({entry})\n"
        outcome = sandbox.run(item["prompt"] + text, tests, setup, [entry], unguarded=unguarded)
    else:
        setup, tests = item.get("test_setup_code", ""), "\n".join(item["test_list"])
        names = _defined(item.get("code", ""))
        outcome = sandbox.run(f"{text}\n{setup}", tests, setup, names, unguarded=unguarded)
    return outcome.passed, outcome.error


def _compiles(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def _defined(code: str) -> list[str]:
    """The functions and classes that a solution defines, which may have names of Python's own."""
    nodes = ast.parse(code).body if _compiles(code) else []
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def exact(text: str, answer: str) -> str:
    """The answer in a text: what follows ####; else its last number if the right answer is a number; else its first
    line. Numbers lose currency signs and thousands separators."""
    said = text.rsplit("####", 1)[-1] if "####" in text else text
    if NUMBER.fullmatch(answer.strip()):
        numbers = NUMBER.findall(said)
        chosen = (numbers[0] if "####" in text else numbers[-1]) if numbers else ""
        value = chosen.replace(",", "").replace("$", "")
        return f"{float(value):g}" if value else ""
    lines = said.strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else ""
