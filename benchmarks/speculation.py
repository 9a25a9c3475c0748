"""Times speculative decoding: what a run over several tokens costs, and how fast texts are written with guesses.

    python benchmarks/speculation.py FILE.gguf... [--draft FILE.gguf] [--rounds 5] [--tokens 100] [--write]

One thread, by its CPU time, so that other work on the machine counts little; what is compared takes turns, and medians
are printed. A text that is "given" is not the model's own: it is what a model that does as it is asked would write.
Texts are the same with and without guesses, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reporting import HERE, describe_machine, write

import bitwright as bw
from bitwright.cli.serve import GUESSES
from bitwright.engine import Engine, Sampler
from bitwright.engine.batch import Batch
from bitwright.engine.draft import Draft
from bitwright.engine.job import Float32, Job
from bitwright.engine.speculation import Repeats, Speculation

CONTEXT, DEPTH = 2048, 512
ROWS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
CODE = HERE.parent / "src/bitwright/engine/penalties.py"
PROSE = HERE.parent / "docs/horizon.md"
FENCE = "```"


class Written(Job):
    """A text written up to a number of tokens: drawn, or `given`."""

    def __init__(self, ids: Sequence[int], limit: int, sampler: Sampler, given: Sequence[int] = ()) -> None:
        super().__init__(ids)
        self.limit, self.sampler, self.given, self.drawn = limit, sampler, given, list[int]()
        self.error: BaseException | None = None

    def next(self, logits: Float32) -> int | None:
        id = self.sampler(logits)
        self.drawn.append(self.given[len(self.drawn)] if self.given else id)
        return self.drawn[-1] if len(self.drawn) < self.limit else None

    def ended(self, error: BaseException | None) -> None:
        self.error = error


@dataclass
class Case:
    """A text to write: what it is called, its prompt, how it is drawn, and what is given."""

    name: str
    prompt: list[int]
    temperature: float = 0.0
    given: list[int] | None = None

    def run(self, engine: Engine, limit: int, speculation: Speculation | None) -> tuple[float, Written]:
        """Tokens per CPU second after the first token, and what was written."""
        batch = Batch(engine.session(2), 1, 1 << 40, None, speculation)
        job = Written(self.prompt, limit, Sampler(self.temperature, seed=1), (self.given or [])[:limit])
        batch.add(job)
        while not job.drawn:
            batch.step()
        started = time.process_time()
        while batch.step():
            pass
        seconds = time.process_time() - started
        if job.error is not None:
            raise job.error
        return (len(job.drawn) - 1) / seconds, job


def cases(engine: Engine) -> list[Case]:
    """Two texts that repeat what was read, and two that do not."""
    tokenizer, template = engine.tokenizer, engine.chat_template
    if template is None:
        raise SystemExit(f"{engine.path} has no chat template")

    def asked(text: str) -> list[int]:
        return template.encode(tokenizer, [{"role": "user", "content": text}])

    code = CODE.read_text(encoding="utf-8")
    code = code[code.index("    def apply(") :]
    fenced, renamed = f"{FENCE}python\n{code}{FENCE}\n", code.replace("logits", "scores")
    prose = PROSE.read_text(encoding="utf-8")
    rename = [*asked(f"Rename logits to scores in this function:\n\n{fenced}"), *tokenizer.encode(f"{FENCE}python\n")]
    return [
        Case("a function with a variable renamed, given", rename, given=tokenizer.encode(renamed)),
        Case("a function repeated", asked(f"{fenced}\nRepeat the code exactly, and change nothing.")),
        Case("prose, given", tokenizer.encode(prose[:1500]), given=tokenizer.encode(prose[1500:6000])),
        Case("a story, temperature 0.8", asked("Write a story about a fox who learns to sail."), temperature=0.8),
    ]


def row_costs(engine: Engine, rounds: int) -> dict[int, float]:
    """Milliseconds of CPU time that a run over so many tokens of one text takes."""
    session, random = engine.session(), np.random.default_rng(0)
    vocabulary = engine.config.vocabulary
    session.extend(random.integers(0, vocabulary, DEPTH).tolist(), [])
    found: dict[int, list[float]] = {rows: [] for rows in ROWS}
    for _ in range(rounds):
        for rows, times in found.items():
            ids = random.integers(0, vocabulary, rows).tolist()
            started = time.process_time()
            session.advance({0: ids}, {0: range(rows)})
            times.append(1e3 * (time.process_time() - started))
            session.reset(DEPTH)
    return {rows: statistics.median(times) for rows, times in found.items()}


def speeds(engine: Engine, kinds: dict[str, Callable[[], Speculation | None]], rounds: int, tokens: int) -> list[str]:
    """A table's line for each text: tokens a second without guesses, and with each kind of them."""
    lines = []
    for case in cases(engine):
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        jobs = {}
        for turn in range(rounds):
            for kind in list(kinds)[:: 1 if turn % 2 else -1]:
                speed, jobs[kind] = case.run(engine, tokens, kinds[kind]())
                found[kind].append(speed)
        assert all(job.drawn == jobs["off"].drawn for job in jobs.values()), f"{case.name}: texts differ"
        cells = [f"{statistics.median(found['off']):.1f}"]
        for kind in [kind for kind in kinds if kind != "off"]:
            ratio = statistics.median(a / b for a, b in zip(found[kind], found["off"], strict=True))
            job = jobs[kind]
            cells += [f"{statistics.median(found[kind]):.1f}", f"{ratio:.2f}", f"{job.guessed_right} of {job.guessed}"]
        lines.append(f"| {engine.path.stem} | {case.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--draft", type=Path, help="also guess with this model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    head = ["model", *(f"{rows} row{'s' * (rows > 1)}" for rows in ROWS)]
    costs = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * len(ROWS)}"]
    head = ["model", "text", "without", "ngram", "ratio", "right"]
    head += ["draft", "ratio", "right"] if args.draft else []
    texts = [f"| {' | '.join(head)} |", f"| --- | --- |{' ---: |' * (len(head) - 2)}"]
    for file in args.files:
        engine = bw.load(file, context=CONTEXT, threads=1)
        found = row_costs(engine, 4 * args.rounds)
        cells = [f"{found[1]:.1f} ms", *(f"{found[rows] / found[1]:.2f}" for rows in ROWS[1:])]
        costs.append(f"| {file.stem} | {' | '.join(cells)} |")
        print(costs[-1], flush=True)
        config = engine.config
        kinds: dict[str, Callable[[], Speculation | None]] = {
            "off": lambda: None,
            "ngram": lambda config=config: Repeats(config, GUESSES),  # type: ignore[misc]
        }
        if args.draft:
            draft = bw.load(args.draft, context=CONTEXT, threads=1)
            kinds["draft"] = lambda engine=engine, draft=draft: Draft(engine, draft, 1, GUESSES)  # type: ignore[misc]
        texts += speeds(engine, kinds, args.rounds, args.tokens)
    if args.write:
        about = ", ".join(f"{key} {value}" for key, value in describe_machine(1).items())
        drafting = [f"The draft is {args.draft.stem}."] if args.draft else []
        lines = [about, "", f"A run over some rows after {DEPTH} tokens, compared with one row:", "", *costs, "",
                 "Tokens per second of CPU time of one thread; how many guesses were right:", "", *texts, "",
                 *drafting]  # fmt: skip
        write("speculation", "Speculative decoding", "speculation.py", lines)


if __name__ == "__main__":
    main()
