"""The texts that a report's page shows: where two models part, and one chunk token by token."""

from __future__ import annotations

import math
import re
from html import escape
from typing import Any

from bitwright.reports.html import note
from bitwright.views.numbers import nats


def partings(r: dict[str, Any]) -> str:
    """Texts at the points where the candidate's continuation differs from the reference's."""
    parts = []
    for e in (r.get("free_running") or {}).get("examples", []):
        sides = "".join(f"<div><b>{side}</b><br>{escape(e[side])}…</div>" for side in ("reference", "candidate"))
        parts.append(f"<p>after token {e['step']}: …{escape(e['before'])}</p><div class='sides'>{sides}</div>")
    return "".join(parts)


def heat(r: dict[str, Any]) -> str:
    """One chunk, each token coloured by its divergence."""
    found = r.get("heat")
    if not found:
        return ""
    text = (
        f"Chunk {found['chunk']}, where the mean divergence is largest. The stronger a token's colour, the larger its "
        "divergence; point at a token, tap it or go to it with the tab key to see both models' likeliest tokens."
    )
    end = "after-" + re.sub(r"\W+", "-", r["model"]["name"])
    skip = f'<a class="skip" href="#{end}">Skip the {len(found["tokens"])} tokens</a>'
    tokens = "".join(map(_token, found["tokens"]))
    return f'{note(text)}{skip}<div class="heat">{tokens}</div><span id="{end}" tabindex="-1"></span>'


def _token(token: dict[str, Any]) -> str:
    strength = min(1.0, math.sqrt(max(token["kl"], 0) / 2))
    lines = [f"KL {nats(token['kl'])}"]
    for side in ("reference", "candidate"):
        lines += [side, *(f"  {100 * p:5.1f}%  {text!r}" for text, p in token.get(side, []))]
    style, shown = f"--heat:{strength:.2f}", escape("\n".join(lines))
    return f'<span style="{style}" tabindex="0">{escape(token["text"])}<i role="tooltip">{shown}</i></span>'
