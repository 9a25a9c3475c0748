"""Compares the memory that `bitwright.hardware.memory` predicts with what is resident, in one process per case.

The process opens the model, reads a text as long as the context (which touches the whole cache and the buffers),
decodes a token and reads its resident memory: Linux's VmRSS, which includes mapped pages of the model file.

    python benchmarks/memory.py --text FILE MODEL... [--contexts N ...] [--kv FORMAT ...] [--write]

--write writes benchmarks/results/memory.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reporting import describe_machine, write

from bitwright import load_tokenizer
from bitwright.hardware.memory import Footprint, memory
from bitwright.model.architectures.outline import outline

MB = 1e6
CASE = """
import json, sys
from bitwright import load
model, ids, context, kv = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3]), sys.argv[4]
session = load(model, context=context, kv=kv).session()
session.prefill(ids[:context - 1])
session.step(ids[0])
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


@dataclass(frozen=True)
class Case:
    """Bytes."""

    model: str
    context: int
    kv: str
    predicted: Footprint
    resident: int

    @property
    def error(self) -> int:
        return self.predicted.total - self.resident

    @property
    def good(self) -> bool:
        """Whether the error is within 2% or 20 MB."""
        return abs(self.error) <= max(0.02 * self.resident, 20 * MB)

    def line(self) -> str:
        p = self.predicted
        parts = " | ".join(
            f"{part / MB:.0f}" for part in (p.weights, p.kv, p.compute, p.overhead, p.total, self.resident)
        )
        return f"| {self.model} | {self.context} | {self.kv} | {parts} | {self.error / MB:+.0f} |"


def measure(model: Path, ids: list[int], context: int, kv: str) -> Case:
    """Runs the case in a separate process. RuntimeError if that fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump((ids * (context // len(ids) + 1))[:context], file)
        file.flush()
        command = [sys.executable, "-c", CASE, model, file.name, context, kv]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    predicted = memory(outline(model), None, context, kv, engine="bitwright")
    return Case(model.stem, context, kv, predicted, int(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--contexts", nargs="+", type=int, default=[256, 1024, 2048, 4096])
    parser.add_argument("--kv", nargs="+", default=["f16", "q8_0", "q4_0"])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    head = [
        "model",
        "context",
        "cache",
        "weights",
        "keys, values",
        "buffers",
        "process",
        "together",
        "resident",
        "off by",
    ]
    lines = [f"| {' | '.join(head)} |", f"| --- | ---: | --- |{' ---: |' * 7}"]
    print("\n".join(lines))
    cases = []
    for model in options.models:
        ids = [int(id) for id in load_tokenizer(model).encode(options.text.read_text(encoding="utf-8")[:40000])]
        for context in options.contexts:
            for kv in options.kv:
                cases.append(measure(model, ids, context, kv))
                lines.append(cases[-1].line())
                print(lines[-1], flush=True)
    lines += ["", f"Megabytes. {sum(case.good for case in cases)} of {len(cases)} within 2% or 20 MB."]
    print("\n".join(lines[-2:]))
    if options.write:
        about = ", ".join(f"{key} {value}" for key, value in describe_machine(os.cpu_count() or 1).items())
        write("memory", "Memory: predicted and resident", "memory.py", [about, "", *lines])


if __name__ == "__main__":
    main()
