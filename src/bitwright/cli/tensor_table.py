"""How `bitwright inspect --tensor` prints one tensor's values."""

from __future__ import annotations

from typing import Any

from bitwright.cli import output
from bitwright.cli.inspect_table import shape

BAR = 40  # characters of the longest bar of a histogram


def show(t: dict[str, Any]) -> None:
    """Print what the view `tensor` holds."""
    output.say(f"{t['name']}: {shape(t['shape'])}, {t['format']}, {output.human_bytes(t['bytes'])}\n", 2, output.bold)
    output.print_pairs(
        [
            ("range", f"{_figure(t['minimum'])} to {_figure(t['maximum'])}"),
            ("mean", _figure(t["mean"])),
            ("standard deviation", _figure(t["standard_deviation"])),
            ("kurtosis", f"{_figure(t['kurtosis'], '.2f')} (a normal distribution has 3)"),
            ("zeros", f"{t['zeros']} of {t['count']}"),
            *([("NaN or infinite", t["not_finite"])] if t["not_finite"] else []),
        ]
    )
    print(output.bold("\nlargest outliers"))
    rows = [(", ".join(map(str, o["index"])), f"{o['value']:.6g}", f"{o['deviations']:+.1f}") for o in t["outliers"]]
    place = ">row, column" if len(t["shape"]) > 1 else ">index"
    output.print_table([place, ">value", ">standard deviations"], rows, 2)
    print(output.bold("\nhistogram"))
    edges, counts = t["histogram"]["edges"], t["histogram"]["counts"]
    highest = max(*counts, 1)
    bars = [
        (f"{low:.4g}", count, "#" * round(BAR * count / highest) or ("." if count else ""))
        for low, count in zip(edges[:-1], counts, strict=True)
    ]
    output.print_table([">from", ">values", ""], bars, 2)


def _figure(value: float | None, digits: str = ".6g") -> str:
    return "nan" if value is None else f"{value:{digits}}"
