"""A report as one page of HTML that needs nothing else: the report as JSON, and the explorer's script and style, which
show it. The page can ask no other place for anything."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from bitwright.explorer.bundle import STATIC

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def page(report: dict[str, Any]) -> str:
    """The page of a report: the view `evaluation`, `horizon` or `comparison`, with the view `heat` of each model under
    `heat`."""
    title = "Models compared" if "models" in report else f"What {report['model']['name']} lost"
    script, style = ((STATIC / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    data = json.dumps(report, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")  # no text ends the script
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title><style>{style}</style><body>",
            f'<div id="page"><noscript>{escape(title)}: this page needs JavaScript.</noscript></div>',
            f'<script type="application/json" id="report">{data}</script>',
            f"<script>{script}</script></body></html>\n",
        ]
    )
