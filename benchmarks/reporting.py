"""Shared by the benchmarks: the machine and commit that a figure was measured on, and tables to commit."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bitwright as bw
from bitwright.cli import output
from bitwright.statistics import studentized

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def describe_machine(threads: int) -> dict[str, object]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{cpu or platform.machine()}, {os.cpu_count()} cores",
        "tier": bw.kernels.tier(),
        "threads": threads,
        "commit": commit or "unknown",
    }


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], machine: dict[str, object]) -> list[str]:
    """The lines of a table below a line that states where it was measured. A header that starts with '>' is aligned
    right, as in `output.print_table`."""
    rule = ["---:" if header.startswith(">") else "---" for header in headers]
    titles = [header.removeprefix(">") for header in headers]
    lines = [", ".join(f"{key} {value}" for key, value in machine.items()), ""]
    return lines + ["| " + " | ".join(cells) + " |" for cells in [titles, rule, *rows]]


def divergence(
    own: dict[str, Any] | None, base: dict[str, Any] | None, clusters: np.ndarray, missing: str = "", digits: int = 5
) -> str:
    """The mean of a file's figures `kl` (tokens,), in `digits` digits after the point, and its paired difference from
    the base's in percent; `missing` without a file."""
    if own is None:
        return missing
    kl = np.array(own["kl"])
    text = f"{kl.mean():.{digits}f}"
    if base is None or base is own:
        return text
    against = np.array(base["kl"])
    change = studentized.mean(kl - against, clusters).map(lambda v: 100 * v / against.mean())
    known = f", {change.ends[0]:+.0f} to {change.ends[1]:+.0f}" if change.ends else ""
    return f"{text} ({change.estimate:+.0f}%{known})"


def save(
    name: str, text: str, headers: Sequence[str], rows: Sequence[Sequence[str]], machine: dict[str, object]
) -> Path:
    """Writes a table to benchmarks/results, named by date, tier and commit; returns the path."""
    target = RESULTS / f"{machine['date']}-{machine['tier']}-{machine['commit']}-{name}.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join([text, "", *markdown(headers, rows, machine)]) + "\n")
    output.remark(f"saved {target}")
    return target


def page(title: str, script: str, lines: Sequence[str]) -> str:
    """The text of a result that docs/ links to: its title, the script that made it, and the lines of its tables."""
    return "\n".join([f"# {title}", "", f"Made by `benchmarks/{script} --write`.", "", *lines, ""])


def write(subject: str, title: str, script: str, lines: Sequence[str]) -> None:
    """Writes benchmarks/results/SUBJECT.md, which docs/ links to, over that of the last run."""
    (RESULTS / f"{subject}.md").write_text(page(title, script, lines), encoding="utf-8")
