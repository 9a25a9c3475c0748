"""Compares published sizes of quantized files with the sizes that bitwright computes from built-in shapes.

data/published_sizes.json has a row for each file. unit: GB of 10^9 or GiB of 2^30 bytes; llama-bench counts only
tensors. A rounded size stands for every size that rounds to it. importance: the publisher quantized with an importance
matrix, which changes the formats of some recipes; null: the row is from two publishers, and only one did.

    python benchmarks/sizes.py [--write]     the table, also to benchmarks/results/published-sizes.md
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting import write

from bitwright.hardware.weights import assign, file_bytes, weight_bytes
from bitwright.model.architectures.outline import outline
from bitwright.recipes import FILE_TYPES, Pattern, Recipe

ROOT = Path(__file__).resolve().parent
UNITS = {"B": 1.0, "MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30}
FLOAT_ENDS = "(f16 embed+output)"  # files whose embedding and output stay in float16
ROUNDED_UP = "rounded up 0.1"


@dataclass(frozen=True)
class Comparison:
    """Sizes in bytes. low and high: the range of the published figure. miss: how far ours is outside it, as a share."""

    row: dict[str, Any]
    ours: int
    low: float
    high: float

    @property
    def miss(self) -> float:
        return max(0.0, self.low / self.ours - 1, self.ours / self.high - 1)


def rows() -> list[dict[str, Any]]:
    return json.loads((ROOT / "data/published_sizes.json").read_text())


def interval(row: dict[str, Any]) -> tuple[float, float]:
    """The range of sizes that round to the published one."""
    unit, size = UNITS[row["unit"]], row["size"]
    if "rounding" not in row:
        return size * unit, size * unit
    if ROUNDED_UP in row["publisher"]:
        return (size - 0.1) * unit, size * unit
    step = 0.01 if "decimals" in row["rounding"] else 10.0 ** (math.floor(math.log10(size)) - 2)
    return (size - step / 2) * unit, (size + step / 2) * unit


def compare(row: dict[str, Any]) -> Comparison:
    recipe = row["quant"].lower().removesuffix(FLOAT_ENDS).strip()
    ends = "f16" if FLOAT_ENDS in row["quant"] else ""
    if recipe not in FILE_TYPES:  # such as Q2_K_L, where bartowski keeps embedding and output in Q8_0
        recipe, ends = recipe.removesuffix("_l"), "q8_0"
    kept = [Pattern.parse(f"^{name}.weight={ends}") for name in ("token_embd", "output") if ends]
    found, tries = outline(row["shape"]), []
    known = row.get("importance", False)
    for importance in (False, True) if known is None else (known,):
        assignments = assign(found, Recipe.named(recipe).preceded(kept), importance)
        of_tensors = "llama-bench" in row["source"]
        size = weight_bytes(assignments) if of_tensors else file_bytes(found, assignments, recipe)
        tries.append(Comparison(row, size, *interval(row)))
    return min(tries, key=lambda comparison: comparison.miss)


def table(compared: list[Comparison]) -> list[str]:
    """A line for each shape and publisher, and one for each size outside its range."""
    groups, missed = defaultdict(list), []
    for found in compared:
        groups[found.row["model"], found.row["publisher"].split(" (")[0]].append(found)
        if found.miss > 1e-4:
            missed.append(found)
    lines = [
        "| model | publisher | files | inside the rounding | farthest outside |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for (model, publisher), group in groups.items():
        inside, worst = sum(c.miss <= 1e-4 for c in group), max(c.miss for c in group)
        lines.append(f"| {model} | {publisher} | {len(group)} | {inside} | {worst:.2%} |")
    lines += ["", f"{sum(map(len, groups.values()))} sizes. Outside by more than a ten-thousandth:", ""]
    for c in missed:
        unit = UNITS[c.row["unit"]]
        lines.append(f"- {c.row['model']} {c.row['quant']}, {c.row['publisher']}: {c.row['size']} {c.row['unit']}, "
                     f"here {c.ours / unit:.3f} ({c.miss:.2%} outside)")  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = table([compare(row) for row in rows()])
    print("\n".join(lines))
    if options.write:
        write("published-sizes", "Published file sizes and computed ones", "sizes.py", lines)


if __name__ == "__main__":
    main()
