"""bitwright as a model of lm-evaluation-harness: `pip install bitwright[lm-eval]`, then

    python -m bitwright.measure.tasks.lm_eval --model bitwright --model_args path=FILE --tasks arc_easy

This is lm_eval's own command line with one more model; lm_eval finds models by import, not by entry points. In Python,
importing this module registers it: `lm_eval.simple_evaluate("bitwright", "path=FILE", tasks=["arc_easy"])`.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitwright.engine import load
from bitwright.engine.generate import text_of
from bitwright.errors import BitwrightError, UsageError
from bitwright.escapes import escaped
from bitwright.measure.continuation import likelihood
from bitwright.measure.rollout import writing
from bitwright.measure.rollout.writing import Chooser, Prompt

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import normalize_gen_kwargs
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
except ModuleNotFoundError as error:
    missing = f"lm-evaluation-harness is not installed ({error}): pip install bitwright[lm-eval]"
    if __name__ == "__main__":
        sys.exit(f"bitwright: error: {missing}")
    raise BitwrightError(missing) from None

NEUTRAL = {"top_p": 1, "top_k": 0, "min_p": 0}  # sampling options that are accepted because they change nothing
log = logging.getLogger(__name__)


@register_model("bitwright")
class BitwrightLM(TemplateLM):  # type: ignore[misc]
    """A GGUF file; `path` is whatever `bitwright run` takes, the other arguments are those of `bitwright.load`.

    lm_eval passes more options, which have no effect here: `device` ("cuda:0" by default), because everything runs on
    the processor, and `batch_size`, because texts are written `together.TOGETHER` at once and shared prefixes are read
    once.
    """

    def __init__(
        self,
        path: str,
        context: int | None = None,
        threads: int | None = None,
        kv: str = "f16",
        activations: str = "int8",
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.engine = load(str(path), context, threads, kv=kv, activations=activations)
        self.text = self.engine.tokenizer

    @property
    def eot_token_id(self) -> int:
        """The token before a text without context."""
        found = next((id for id in (self.text.bos, self.text.eos, self.text.eot) if id is not None), None)
        if found is None:
            raise BitwrightError(f"{self.engine.path.name} names no token that begins or ends a text")
        return found

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids. Control tokens in the text are recognized, because chat templates write them."""
        ids, bos = self.text.encode(string, add_special_tokens=False, parse_special=True), self.text.bos
        wanted = self.text.add_bos and bos is not None and add_special_tokens is not False
        return [bos, *ids] if wanted and ids[:1] != [bos] else ids  # type: ignore[list-item]

    def _loglikelihood_tokens(self, requests: Sequence[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        """Requests that share a prefix are read one after another; texts too long lose their beginning."""
        session, found = self.engine.session(), {}
        for number in sorted(range(len(requests)), key=lambda n: requests[n][1:]):
            key, before, tokens = requests[number]
            if not tokens:
                raise UsageError(f"{key[1]!r} adds no token to its context: nothing to score")
            found[number] = likelihood(session, self._fitting(before, len(tokens) - 1), tokens)
            if key is not None:
                self.cache_hook.add_partial("loglikelihood", key, found[number])
        return [found[number] for number in range(len(requests))]

    def _fitting(self, ids: list[int], more: int) -> list[int]:
        """The end of a context that leaves room for `more` tokens. UsageError if there is no room."""
        room = self.engine.context - more
        if room < 1:
            raise UsageError(f"{more} tokens do not fit the context of {self.engine.context}: raise context=")
        if len(ids) > room:
            log.warning("a context of %d tokens is cut to its last %d", len(ids), room)
        return ids[-room:]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability in nats of each whole text, in windows of the context."""
        found = []
        for (text,) in [request.args for request in requests]:
            ids = self.tok_encode(text, add_special_tokens=False)
            windows = get_rolling_token_windows(ids, self.prefix_token_id, self.engine.context, context_len=1)
            parts = self._loglikelihood_tokens([(None, *make_disjoint_window(window)) for window in windows])
            found.append(sum(score for score, _ in parts))
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), found[-1])
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Requests with the same stop strings and limits are written together."""
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            groups[_ways(request.args[1])].append(number)
        found: dict[int, str] = {}
        for (stops, limit, temperature), numbers in groups.items():
            texts = self._write([requests[n].args[0] for n in numbers], stops, limit, temperature)
            for number, text in zip(numbers, texts, strict=True):
                found[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return [found[number] for number in range(len(requests))]

    def _write(self, contexts: Sequence[str], stops: Sequence[str], limit: int, temperature: float) -> list[str]:
        prompts = [Prompt(np.array(self._fitting(self.tok_encode(context), limit), np.int32), number)
                   for number, context in enumerate(contexts)]  # fmt: skip
        tail = max((len(stop.encode()) for stop in stops), default=0) + 1  # tokens that can hold a stop string

        def ended(ids: Sequence[int]) -> bool:
            return any(stop in "".join(text_of(ids[-tail:], self.text)) for stop in stops)

        engine = writing.fitted(self.engine, max(len(prompt.ids) for prompt in prompts) + limit)
        written = writing.write(engine, prompts, limit, Chooser(temperature), until=ended)
        return ["".join(text_of(rollout.tokens.tolist(), self.text, stops)) for rollout in written]

    @property
    def tokenizer_name(self) -> str:
        """The name that lm-evaluation-harness caches under: the file of the model."""
        return self.engine.path.name

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The model's template. UsageError if it has none, or one is requested by name."""
        if not chat_template:
            return None
        if self.engine.chat_template is None or isinstance(chat_template, str):
            name = f" {chat_template}" if isinstance(chat_template, str) else ""
            raise UsageError(f"{self.engine.path.name} has no chat template{name}")
        return self.engine.chat_template.source

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Without the prompt for a reply, the text ends with the last message, which the model continues."""
        if self.engine.chat_template is None:
            raise UsageError(f"{self.engine.path.name} has no chat template")
        text, last = self.engine.chat_template.render(chat_history, add_generation_prompt), chat_history[-1]["content"]
        return text if add_generation_prompt else text[: text.rindex(last.strip()) + len(last.strip())]


def _ways(asked: dict[str, Any]) -> tuple[tuple[str, ...], int, float]:
    """Stop strings, most tokens and temperature from lm_eval's keywords. UsageError for other ways to sample."""
    ways = dict(normalize_gen_kwargs(asked, 256))
    temperature = float(ways.get("temperature") or 0)
    other = {name: value for name, value in ways.items() if name in NEUTRAL and value != NEUTRAL[name]}
    if temperature and other:
        raise UsageError(f"only greedy decoding and temperature sampling are supported, got {other}")
    return tuple(stop for stop in ways["until"] if stop), ways["max_gen_toks"], temperature


def main() -> None:
    """lm_eval's command line; bitwright's errors print as one line, as in `bitwright`."""
    from lm_eval.__main__ import cli_evaluate

    try:
        cli_evaluate()
    except BitwrightError as error:
        print("bitwright: error:", " ".join(escaped(str(error)).split()), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
