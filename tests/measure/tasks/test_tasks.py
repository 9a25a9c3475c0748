"""Tasks: files of every form, scores against plain sums, right and wrong answers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, load
from bitwright.errors import FileFormatError, UsageError
from bitwright.measure.tasks import choice, items, sandbox, written
from bitwright.measure.tasks.items import Task
from bitwright.measure.tasks.scores import TaskScore, compare_tasks, score_task
from bitwright.statistics.paired import mcnemar


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Engine:
    return load(smollm2, context=512)


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_without_lm_eval_one_line_says_what_to_install() -> None:
    run = "import runpy, sys; sys.modules['lm_eval'] = None; runpy.run_module(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", run, "bitwright.measure.tasks.lm_eval"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "pip install bitwright[lm-eval]" in done.stderr


def test_every_set_is_read(data: Path) -> None:
    forms = {}
    for path in sorted((data / "eval").glob("*.jsonl")):
        task = items.load(path, limit=5)
        forms[path.stem] = task.form
        assert 4 <= len(task.items) <= 5 and not task.shots
    expected = {"arc_easy": "choice", "winogrande": "schema", "lambada_openai": "last", "gsm8k": "answer",
                "human_eval": "humaneval", "mbpp": "mbpp"}  # fmt: skip
    assert expected.items() <= forms.items()
    assert items.load(data / "eval/bbh/navigate.json").form == "answer"


def test_the_first_items_are_examples(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", *({"context": f"{i} + 1 =", "continuation": str(i + 1)} for i in range(9)))
    task = items.load(path, limit=3, shots=2)
    assert [item["continuation"] for item in task.shots] == ["1", "2"]
    assert [item["continuation"] for item in task.items] == ["3", "4", "5"]
    with pytest.raises(UsageError, match="9 items: too few to show 9"):
        items.load(path, shots=9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "line 1: expected JSON, got "),
        (["[" * 100_000], "line 1: expected JSON, got lists or objects nested too deeply"),
        ([{"query": "q", "gold": 0}], r"forms in line 1 .*choice: query, choices, gold.*\['gold', 'query'\]"),
        ([{"query": "q", "choices": ["a"], "gold": 1}], "gold below 1 in line 1, got 1"),
        ([{"query": "q", "choices": "ab", "gold": 0}], "choices to be texts in line 1"),
        ([{"context": "c", "answer": "a"}, {"context": "c"}], "context, answer in line 2, as in line 1"),
        ([{"context": "c", "answer": 7}], "answer to be a text in line 1, got 7"),
    ],
)
def test_malformed_tasks_are_refused(tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        items.load(write(tmp_path / "own.jsonl", *rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r'expected {"examples": .*, got array of no elements'),
        ('{"examples": 7}', r'expected {"examples": .*, got integer 7'),
        ('{"examples": "ab"}', "got string 'ab'"),
        ('{"examples": [7]}', "input and target in example 1, got integer 7"),
        ('{"examples": [{"input": "a", "target": "b"}, {"input": "a"}]}', "input and target in example 2, got object"),
        ('{"examples": [{"input": ["a"], "target": "b"}]}', "context to be a text in line 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_malformed_examples_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bbh.json").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        items.load(tmp_path / "bbh.json")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        items.load(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="holds no items"):
        items.load(write(tmp_path / "empty.jsonl"))


def test_likelihoods_equal_plain_sums(engine: Engine) -> None:
    query = "Question: What do cats like to drink?\nAnswer:"
    item = {"query": query, "choices": ["milk", "the old stone wall"], "gold": 0}
    found = choice.judge(engine, Task("own", "choice", [item, item], []))
    assert found[0].right_unnormed and found[0] == found[1]
    tokenizer = engine.tokenizer
    for text, got in zip(item["choices"], found[0].log_likelihoods, strict=True):
        before, own = tokenizer.encode(item["query"]), tokenizer.encode(f" {text}", add_special_tokens=False)
        logits = engine.session().logits(before + own[:-1])[len(before) - 1 :].astype(float)
        expected = sum(row[id] - np.log(np.exp(row).sum()) for row, id in zip(logits, own, strict=True))
        assert got == pytest.approx(expected, abs=1e-3)


def test_questions_end_with_the_answer_prompt() -> None:
    assert items.asked("Question: Why?\n") == items.asked("Question: Why?\nAnswer:") == "Question: Why?\nAnswer:"
    assert items.asked("The capital of France is") == "The capital of France is"
    assert items.joined("The man", ", who") == ("The man", ", who") and items.joined("So ", "be it") == ("So", " be it")


def test_length_counts_for_acc_norm_only() -> None:
    judged = choice._judged([-4.0, -6.0], [4, 12], gold=1)
    assert judged.right and not judged.right_unnormed


def test_other_forms(engine: Engine) -> None:
    schema = {"context_options": ["The trophy is too big, so the trophy", "The trophy is too big, so the banana"],
              "continuation": "does not fit the shelf.", "gold": 0}  # fmt: skip
    last = [{"context": "One, two, three, four, five, six,", "continuation": "seven"},
            {"context": "One, two, three, four, five, six,", "continuation": "banana"}]  # fmt: skip
    assert choice.judge(engine, Task("s", "schema", [schema], []))[0].right
    assert [j.right for j in choice.judge(engine, Task("l", "last", last, []))] == [True, False]


def test_answers(engine: Engine) -> None:
    """A small model can repeat what its prompt contains, and cannot answer anything else."""
    repeats = [{"context": f"Say the number {n} again.", "answer": str(n)} for n in (31, 84, 52, 67)]
    wrong = {"context": "Say the number 45 again.", "answer": "99"}
    found = written.write(engine, Task("echo", "answer", [*repeats[2:], wrong], repeats[:2]), tokens=12)
    assert [(w.right, w.why) for w in found] == [(True, ""), (True, ""), (False, "45 instead of 99")]
    assert all(w.ended for w in found)


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("He has 3 and 4, so 1,007 in all.", "1007", True),
        ("so $12.50.\n#### 12.5 and 3 more", "12.5", True),
        ("7\n#### 8", "7", False),
        ("no idea", "7", False),
        ("-4", "-4", True),
        (" valid.\nBecause", "valid", True),
        ("(A)", "(B)", False),
    ],
)
def test_exact(text: str, answer: str, right: bool) -> None:
    assert (written.exact(text, answer) == written.exact(answer, answer)) == right


def test_answers_end_where_something_new_begins() -> None:
    assert written.cut("    return 1\n\ndef other():", written.STOPS["humaneval"]) == "    return 1\n"
    assert written.cut("\ndef f():\n    return 1\nassert f()", written.STOPS["mbpp"]) == "\ndef f():\n    return 1"


def test_solutions_pass_and_others_do_not(data: Path) -> None:
    human = items.load(data / "eval/human_eval.jsonl", limit=3).items
    mbpp = items.load(data / "eval/mbpp.jsonl", limit=3).items
    unguarded = True  # the solutions of the sets
    for item in human:
        assert written.check(item, "humaneval", item["canonical_solution"], unguarded) == (True, "")
        assert not written.check(item, "humaneval", "    return None\n", unguarded)[0]
    for item in mbpp:
        assert written.check(item, "mbpp", item["code"], unguarded) == (True, "")
        assert written.check(item, "mbpp", "pass", unguarded)[1].startswith("NameError")


def test_code_tasks_are_refused_before_generation(monkeypatch: pytest.MonkeyPatch, engine: Engine, data: Path) -> None:
    def refuse() -> None:
        raise UsageError("not here")

    monkeypatch.setattr(sandbox, "check", refuse)
    with pytest.raises(UsageError, match="not here"):
        score_task(engine, items.load(data / "eval/mbpp.jsonl", limit=1))


def test_mcnemar() -> None:
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1
    assert mcnemar(8, 0) == pytest.approx(2 / 256)
    assert mcnemar(12, 3) == mcnemar(3, 12) == pytest.approx(2 * sum(math.comb(15, k) for k in range(4)) / 2**15)


def test_pairs() -> None:
    right = np.array([True] * 30 + [False] * 20)
    worse = right.copy()
    worse[:12] = False
    worse[40:42] = True
    reference, candidate = (TaskScore("t", "choice", r, {}, []) for r in (right, worse))
    found = compare_tasks(candidate, reference)
    assert (found.lost, found.won, found.verdict) == (12, 2, "worse")
    assert found.difference.estimate == pytest.approx(-0.2) and found.difference.below(0)
    assert (
        compare_tasks(reference, reference).verdict == "cannot tell"
        and compare_tasks(reference, candidate).verdict == "better"
    )
    few = TaskScore("t", "choice", right[:5], {}, [])
    assert compare_tasks(few, few).verdict == "too little data"  # five items lost of five are still chance: p = 1/16
