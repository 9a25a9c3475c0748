"""What is cached: what `list --json` prints."""

from __future__ import annotations

from typing import Any

from bitwright.io.aliases import cache_folder
from bitwright.io.cache import entries, hub_folder, total
from bitwright.views.plain import plain


def cached() -> dict[str, Any]:
    """entries[{name, what, bytes, path}], total_bytes (shared contents once), folders (bitwright's and the hub's)."""
    rows = [{"name": e.name, "what": e.what, "bytes": e.bytes, "path": e.paths[0]} for e in entries()]
    return plain({"entries": rows, "total_bytes": total(), "folders": [cache_folder(), hub_folder()]})
