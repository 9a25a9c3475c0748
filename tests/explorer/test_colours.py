"""The four colours that mean something can be told apart by readers who see fewer, and each has a form of its own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

STYLE = (Path(__file__).parents[2] / "web/src/style.css").read_text("utf-8")
THEMES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL), strict=False))
COLOURS = ("code", "scale", "error", "reference")
APART = 15  # of CIELAB's distance; a difference of 2 is just seen

# Colours in linear RGB as seen without one kind of cones: https://doi.org/10.1109/TVCG.2009.113, severity 1
SIGHTS = {
    "all cones": np.eye(3),
    "no long": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no middle": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no short": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ.sum(axis=1)


def seen(colour: str, sight: np.ndarray) -> np.ndarray:
    """CIELAB of a colour "#rrggbb"."""
    stored = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    ratio = XYZ @ np.clip(sight @ linear, 0, 1) / WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_are_told_apart(theme: str, sight: str) -> None:
    found = {name: re.search(rf"--{name}: (#\w{{6}});", THEMES[theme])[1] for name in COLOURS}
    for one, other in itertools.combinations(COLOURS, 2):
        between = seen(found[one], SIGHTS[sight]) - seen(found[other], SIGHTS[sight])
        assert np.linalg.norm(between) >= APART, f"{one} {found[one]} and {other} {found[other]}"


def test_lines_have_a_form_of_their_own() -> None:
    meaning = re.findall(r"svg \.(\w+)\.stroke \{ stroke-dasharray: ([\d ]+) \}", STYLE)
    assert {name for name, _ in meaning} == set(COLOURS) - {"code"}  # codes are solid
    tones = re.findall(r"\.(t\d) \.stroke \{ stroke-dasharray: ([\d ]+) \}", STYLE)
    assert [name for name, _ in tones] == ["t1", "t2", "t3", "t4", "t5"]
    for dashes in ([d for _, d in meaning], [d for _, d in tones]):
        assert len(set(dashes)) == len(dashes)
