"""The prompts are held out: nothing may be calibrated on them, and a file that was is not measured on them."""

from __future__ import annotations

import functools
import re

from bitwright.errors import UsageError
from bitwright.measure.horizon import prompts
from bitwright.measure.overlap import RUN, runs

ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt])")  # of JSON


def check(name: str, text: str) -> None:
    """UsageError if a text for calibration shares a run of 13 words with a prompt. JSON's escapes are read as what they
    stand for, so that a file of conversations is found too."""
    plain = ESCAPES.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    known = _known()
    for run in runs(plain):
        if run in known:
            item = known[run]
            raise UsageError(
                f"{name} shares {RUN} words in a row with prompt {item.number} ({item.kind}) of the suite "
                f"{prompts.VERSION}: a model looks better than it is on what it was calibrated on; use another text"
            )


@functools.cache
def _known() -> dict[int, prompts.Item]:
    backwards = prompts.items()[::-1]  # so that the first prompt with a run is named
    return {run: item for item in backwards for turn in item.turns for run in runs(turn)}
