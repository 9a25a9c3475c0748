"""`bitwright explore --fit`: a history of another model is refused before anything is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitwright.fit import known
from bitwright.io import gguf


def test_a_history_of_another_model_is_refused(
    bitwright: Callable[..., Any], stories260k: Path, tmp_path: Path
) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps(known.surveyed(gguf.open(stories260k), 1) | {"sha256": "00"}))
    outcome = bitwright("explore", stories260k, "--fit", path, "--no-browser", "--port", 0)
    assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1
    assert f"{path} is the history of another model" in outcome.err
