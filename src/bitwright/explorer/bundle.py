"""The front end as it was built: scripts, styles and pages (web/)."""

from __future__ import annotations

import mimetypes
from pathlib import Path

STATIC = Path(__file__).parent / "static"

mimetypes.add_type("text/javascript", ".js")  # some systems have it registered as text/plain, which browsers refuse
