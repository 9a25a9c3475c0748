"""The next token of a model whose codes were chosen well, or not so well."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bitwright import formats
from bitwright.errors import BitwrightError
from bitwright.measure import methods as measured
from bitwright.model.model import Model
from bitwright.views.next_token import text_of
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

FORMATS = ("q4_0", "mxfp4")  # the first that changes anything
MOST = 5e8  # weights of a model that is quantized four times while someone waits
FIRST = 32  # tokens that are read before any is shown


@lru_cache(1)
def available(file: GGUF) -> dict[str, Any]:
    """format (None if the model cannot be shown), problem (why not, else None)."""
    try:
        model = Model.from_gguf(file)
        _ = model.tokenizer
    except BitwrightError as error:
        return plain({"format": None, "problem": str(error)})
    for name in FORMATS:
        count = measured.weights(model, formats.get(name))
        if count > MOST:
            slow = f"quantizing {count / 1e9:.1f} G weights four times takes too long to wait for"
            return plain({"format": None, "problem": f"{slow}; bitwright quantize --method and compare do it"})
        if count:
            return plain({"format": name, "problem": None})
    return plain({"format": None, "problem": "none of its matrices can be brought into a 4-bit format of 32 columns"})


def methods(file: GGUF, threads: int | None) -> dict[str, Any]:
    """format, methods, divergence{method: mean, in nats}, same_top1{method: share}; tokens[text] of a text, and from
    `first` on places[{top[{text, reference, and each method: the probability that it comes next}], divergence{method}}]
    after each token: those likeliest for the model as it is."""
    name = available(file)["format"]
    model = Model.from_gguf(file)
    found = measured.by_method(model, formats.get(name), threads)
    first = min(FIRST, len(found.ids) // 2)

    def place(at: int) -> dict[str, Any]:
        shown = [{"text": text_of(model.tokenizer, int(id)), **{way: c[at, k] for way, c in found.chances.items()}}
                 for k, id in enumerate(found.top[at])]  # fmt: skip
        return {"top": shown, "divergence": {method: values[at] for method, values in found.divergence.items()}}

    return plain(
        {
            "format": name,
            "methods": list(found.divergence),
            "divergence": {method: values[first:].mean() for method, values in found.divergence.items()},
            "same_top1": {method: agrees[first:].mean() for method, agrees in found.agrees.items()},
            "tokens": [text_of(model.tokenizer, int(id)) for id in found.ids],
            "first": first,
            "places": [place(at) for at in range(first, len(found.ids))],
        }
    )
