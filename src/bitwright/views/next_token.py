"""What two models expect next after each token of a text, and how their losses make up perplexity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure import standard_text, windows
from bitwright.measure.scoring import token_losses
from bitwright.measure.softmax import log_probabilities
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.model.tokenizer import Tokenizer

Float64 = NDArray[np.float64]
TOP = 10  # tokens shown of each model
MOST_TOKENS = 96  # of a prompt
CONTEXTS = (32, 64, 128)  # tokens of a chunk
READ = 256  # tokens of the text that perplexity is shown on: a whole number of chunks of each length
DOCUMENT = 11  # of the standard text: why the tides come twice a day
EXAMPLES = (
    "2 + 2 is",
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "def mean(values):\n    return sum(values) /",
    "Quantization makes a model smaller by storing each weight in fewer",
)


def next_token(reference: Engine, candidate: Engine, prompt: str) -> dict[str, Any]:
    """prompt, tokens (texts), after (one for each token)[{divergence (nats, KL(reference || candidate)), losses
    (reference's and candidate's of the token that follows, in nats; None after the last), top[{text, reference,
    candidate (probabilities), nats (its share of the divergence)}], rest{reference, candidate, nats} (all others)}].

    UsageError if the prompt has no tokens or too many.
    """
    tokenizer = reference.tokenizer
    ids = tokenizer.encode(prompt)
    if not 1 <= len(ids) <= MOST_TOKENS:
        raise UsageError(f"expected a prompt of 1 to {MOST_TOKENS} tokens, got {len(ids)}")
    rows = [engine.session().logits(ids) for engine in (reference, candidate)]
    after = []
    for place, (ours, theirs) in enumerate(zip(*rows, strict=True)):
        log_p, log_q = log_probabilities(ours), log_probabilities(theirs)
        following = ids[place + 1] if place + 1 < len(ids) else None
        losses = None if following is None else [-log_p[following], -log_q[following]]
        after.append(compared(tokenizer, log_p, log_q) | {"losses": losses})
    return plain({"prompt": prompt, "tokens": [text_of(tokenizer, id) for id in ids], "after": after})


def compared(tokenizer: Tokenizer, log_p: Float64, log_q: Float64) -> dict[str, Any]:
    """divergence, top[] and rest of two rows of log probabilities (vocabulary,), as `next_token` lists them."""
    p, q = np.exp(log_p), np.exp(log_q)
    nats = np.where(p > 0, p * (log_p - log_q), 0)
    best = {int(id) for row in (p, q) for id in np.argpartition(-row, TOP - 1)[:TOP]}
    chosen = sorted(best, key=lambda id: (-max(p[id], q[id]), id))[:TOP]
    top = [{"text": text_of(tokenizer, id), "reference": p[id], "candidate": q[id], "nats": nats[id]} for id in chosen]
    rest = np.ones(len(p), bool)
    rest[chosen] = False
    others = {"reference": p[rest].sum(), "candidate": q[rest].sum(), "nats": nats[rest].sum()}
    return {"divergence": nats.sum(), "top": top, "rest": others}


def text_of(tokenizer: Tokenizer, id: int) -> str:
    """A token as text; bytes that are no whole characters become U+FFFD."""
    return tokenizer.token_bytes(id).decode("utf-8", "replace")


def chunked(tokenizer: Tokenizer) -> dict[str, Any]:
    """text{title, tokens}, contexts[{context, first (the position of the first token whose prediction is scored),
    chunks[tokens (texts)]}]: how a text is cut for perplexity."""
    text = passage()
    ids = tokenizer.encode(text, add_special_tokens=False)[:READ]
    found = []
    for context, cut in _cuts(tokenizer):
        chunks = [[text_of(tokenizer, int(id)) for id in chunk] for chunk in cut.ids]
        found.append({"context": context, "first": cut.first, "chunks": chunks})
    return {"title": text.split("\n", 1)[0], "tokens": len(ids), "contexts": found}


def chunk_losses(engine: Engine) -> list[list[list[float]]]:
    """Losses in nats by length of chunk (`CONTEXTS`), chunk and scored token; exp of their mean is the perplexity that
    `eval` gives for the text and length."""
    session = engine.session()
    return [[token_losses(session, ids, cut.first).tolist() for ids in cut.ids] for _, cut in _cuts(engine.tokenizer)]


def passage() -> str:
    """The text that perplexity is shown on."""
    return standard_text.read().split("<|endoftext|>")[DOCUMENT].strip()


def _cuts(tokenizer: Tokenizer) -> Sequence[tuple[int, windows.Windows]]:
    return [(context, windows.cut(tokenizer, passage(), context, READ // context)) for context in CONTEXTS]
