"""A report: everything that was measured as one JSON object, and the same as one page of HTML.

The object is what `--json` prints; the page is drawn from it alone, so that both always say the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.io.atomic import replacing
from bitwright.measure import comparison
from bitwright.measure.perplexity import scored
from bitwright.measure.softmax import log_probabilities
from bitwright.views import evaluation

if TYPE_CHECKING:
    from bitwright.engine import Model
    from bitwright.measure.comparison import Comparison
    from bitwright.measure.reference import Reference
    from bitwright.measure.suite import Evaluation

SHOWN = 5  # likeliest tokens of both, for every token of the heat map
ENDINGS = (".html", ".json")


def check_name(path: Path) -> None:
    """UsageError where a report cannot have that name, before anything is measured."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"a report is a .html or a .json file, got {path.name}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.absolute().parent}")


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report whole or not at all, as its name's ending says."""
    from bitwright.reports import page

    with replacing(path) as file:
        if path.suffix.lower() == ".json":
            file.write(json.dumps(plain(report), ensure_ascii=False, indent=1, allow_nan=False).encode())
        else:
            file.write(page.page(report).encode())


def plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def of_evaluation(e: Evaluation, about: dict[str, Any]) -> dict[str, Any]:
    """The report on one candidate."""
    return {**evaluation.as_json(e), "words": evaluation.words(e), "about": about}


def of_comparison(c: Comparison, about: dict[str, Any]) -> dict[str, Any]:
    """The report on several, best first."""
    models = []
    for x in c.contenders:
        found = evaluation.as_json(x.evaluation) if x.evaluation else {"model": vars(x.identity)}
        found |= {"bits_per_byte": evaluation.of_interval(x.bits_per_byte), "tokens_per_second": x.speed}
        models.append(found)
    pairs = [{**vars(p), "difference": evaluation.of_interval(p.difference)} for p in c.pairs]
    fronts = {"bytes": list(c.front_of_bytes), "speed": list(c.front_of_speed)}
    words = comparison.words(c)
    return {"measure": c.measure, "models": models, "pairs": pairs, "front": fronts, "words": words, "about": about}


def with_heat(report: dict[str, Any], heats: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A report on several with the heat of each, by its name, where there is one."""
    models = [m | ({"heat": heats[name]} if (name := m["model"]["name"]) in heats else {}) for m in report["models"]]
    return {**report, "models": models}


def heat(e: Evaluation, model: Model, reference: Reference) -> dict[str, Any]:
    """Token by token over the chunk that went worst: text, divergence, and both sides' likeliest tokens."""
    windows = e.scores.windows
    index = int(e.scores.divergences.mean(1).argmax())
    known = getattr(reference.chunk(index), "distributions", None)
    tokens: list[dict[str, Any]] = []
    session, text = model.session(), model.tokenizer

    def likeliest(ids: NDArray[np.integer[Any]], log_p: NDArray[np.float64]) -> list[list[Any]]:
        return [[text_of(id), float(np.exp(p))] for id, p in zip(ids, log_p, strict=True)]

    def text_of(id: np.integer[Any]) -> str:
        return text.token_bytes(int(id)).decode("utf-8", "replace")  # `decode` takes the space off a lone token

    for logits, targets in scored(session, windows.ids[index], windows.first):
        for row, target in zip(logits, targets, strict=True):
            at, log_q = len(tokens), log_probabilities(row)
            own = np.argsort(-log_q, kind="stable")[:SHOWN]
            found = {"text": text_of(target), "kl": float(e.scores.divergences[index, at])}
            found["candidate"] = likeliest(own, log_q[own])
            if known is not None:
                found["reference"] = likeliest(known.ids[at, :SHOWN], known[at : at + 1].log_p[0, :SHOWN])
            tokens.append(found)
    before = text.decode(windows.ids[index, 1 : windows.first + 1].tolist())
    return {"chunk": int(windows.places[index]), "before": before, "tokens": tokens}
