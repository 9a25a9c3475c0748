"""How likely a model finds a text: the log-probability of each of its tokens, given those before."""

from __future__ import annotations

from bitwright.server.generation import Drawn, Float32, Generation, report


class Scored(Generation):
    """An answer whose prompt is scored, too. `scored_tokens` has an entry for each of its tokens: None for the first,
    which follows nothing."""

    scored = True

    @property
    def scored_tokens(self) -> list[Drawn | None]:
        """What was found so far."""
        return self._scored

    def score(self, start: int, logits: Float32) -> None:
        """Note how likely the tokens after those from `start` on are."""
        if start == 0:
            self._scored: list[Drawn | None] = [None]
        top = self.settings.top or 0
        for row, id in zip(logits, self.ids[start + 1 : start + 1 + len(logits)], strict=False):
            self._scored.append(report(row, id, top))
