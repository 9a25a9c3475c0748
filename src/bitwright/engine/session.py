"""A key-value cache and where each of its sequences stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.kernels import Program

if TYPE_CHECKING:
    from bitwright.engine.model import Model

BATCH = 512  # tokens run in one go: enough for the prefill kernels, few enough that Ctrl-C is heard soon
RELEASE = 32  # tokens after which mapped pages of the embedding go; each time costs about 0.1 ms

Float32 = NDArray[np.float32]
Ids = Sequence[int] | NDArray[np.int32]


class Session:
    """Runs tokens through a model and remembers them; each of `sequences` slots holds a text of its own.

    What is not said about a sequence is said about number 0. Not for use from two threads at once.
    """

    def __init__(self, model: Model, sequences: int = 1) -> None:
        self.model, self.context, self._looked_up = model, model.context, 0
        self.ids: list[list[int]] = [[] for _ in range(sequences)]  # what the cache holds, by sequence
        batch = min(BATCH, model.context)
        self.program = Program(
            model.step,
            model.weights,
            model.context,
            sequences,
            batch,
            model.threads,
            model.forced_tier,
            model.kv,
            model.activations,
        )
        model.file.release()  # the program has packed what it multiplies with

    @property
    def positions(self) -> list[int]:
        """How many tokens of each sequence the cache holds."""
        return [len(ids) for ids in self.ids]

    @property
    def position(self) -> int:
        """How many tokens of sequence 0 the cache holds."""
        return len(self.ids[0])

    def prefill(self, ids: Ids, sequence: int = 0) -> Float32:
        """Read `ids`; the logits (vocabulary,) of what follows the last. UsageError where there are none or no room."""
        if not len(ids):
            raise UsageError("there is nothing to read: at least one token is needed")
        return self.extend(ids, [len(ids) - 1], sequence)[0]

    def step(self, id: int, sequence: int = 0) -> Float32:
        """Read one token; the logits (vocabulary,) of what follows."""
        return self.extend([id], [0], sequence)[0]

    def logits(self, ids: Ids, sequence: int = 0) -> Float32:
        """Read `ids`; the logits (tokens, vocabulary) after each."""
        return self.extend(ids, range(len(ids)), sequence)

    def extend(self, ids: Ids, outputs: Sequence[int], sequence: int = 0) -> Float32:
        """Read `ids` in batches; the logits (outputs, vocabulary) after those at the ascending indices `outputs`."""
        self._check_room(len(ids), sequence)
        tokens, wanted = np.asarray(ids, np.int32), np.asarray(outputs, np.int32)
        results = []
        for start in range(0, len(tokens), self.program.batch):
            part = tokens[start : start + self.program.batch]
            local = wanted[(wanted >= start) & (wanted < start + len(part))] - start
            position = len(self.ids[sequence])
            places = np.arange(position, position + len(part), dtype=np.int32)
            results.append(self._run(part, places, np.full(len(part), sequence, np.int32), local))
            self.ids[sequence] += part.tolist()
        filled = [r for r in results if len(r)]
        if len(filled) == 1:
            return filled[0]
        return np.concatenate(filled) if filled else np.empty((0, self.model.config.vocabulary), np.float32)

    def advance(self, ids: Mapping[int, Ids]) -> Float32:
        """Read some tokens of several sequences in one run; the logits (sequences, vocabulary) after each one's last.

        `ids` maps a sequence to its next tokens, at least one; how a server decodes many answers at the price of one.
        """
        for sequence, own in ids.items():
            if not len(own):
                raise UsageError(f"sequence {sequence} has nothing to read: at least one token is needed")
            self._check_room(len(own), sequence)
        lengths = [len(own) for own in ids.values()]
        tokens = np.concatenate([np.asarray(own, np.int32) for own in ids.values()])
        starts = np.repeat([len(self.ids[sequence]) for sequence in ids], lengths)
        ends = np.cumsum(lengths)
        places = starts + np.arange(len(tokens)) - np.repeat(ends - lengths, lengths)
        slots = np.repeat(list(ids), lengths)
        result = self._run(tokens, places.astype(np.int32), slots.astype(np.int32), (ends - 1).astype(np.int32))
        for sequence, own in ids.items():
            self.ids[sequence] += np.asarray(own, np.int32).tolist()
        return result

    def _run(self, tokens: NDArray[np.int32], *where: NDArray[np.int32]) -> Float32:
        """Program.run; now and then what it looked up of the embedding is given back to the file, for around one row a
        system maps as much as 2 MiB."""
        result = self.program.run(tokens, *where)
        self._looked_up += len(tokens)
        if self._looked_up >= RELEASE:
            self.model.file.release()
            self._looked_up = 0
        return result

    def adopt(self, other: Session, sequence: int = 0, keep: int = 0) -> None:
        """Remember a sequence as `other` does, another model's session: with its keys and values, but for those of the
        first `keep` tokens, which stay as they are. UsageError where its cache is not alike, or the tokens differ.
        """
        self._check_sequence(sequence)
        other._check_sequence(sequence)
        own, taken = self.ids[sequence], other.ids[sequence]
        if keep > len(own) or own[:keep] != taken[:keep]:
            raise UsageError(f"sequence {sequence} does not begin with the same {keep} tokens in both sessions")
        self.program.adopt(other.program, sequence, keep, len(taken))
        self.ids[sequence] = list(taken)

    def reset(self, keep: int = 0, sequence: int = 0) -> None:
        """Forget a sequence but for its first `keep` tokens.

        Going back further than a batch, past what the layers with a window still hold, reads the kept tokens anew.
        """
        self._check_sequence(sequence)
        ids = self.ids[sequence]
        if not 0 <= keep <= len(ids):
            raise UsageError(f"cannot keep {keep} tokens of the {len(ids)} there are")
        lost = keep < min(len(ids), self.program.earliest[sequence])
        self.ids[sequence] = [] if lost else ids[:keep]
        if lost and keep:
            self.extend(ids[:keep], [], sequence)

    def _check_sequence(self, sequence: int) -> None:
        if not 0 <= sequence < len(self.ids):
            raise UsageError(f"the session has sequences 0 to {len(self.ids) - 1}, got {sequence}")

    def _check_room(self, count: int, sequence: int) -> None:
        self._check_sequence(sequence)
        held = len(self.ids[sequence])
        if held + count > self.context:
            raise UsageError(f"{held} tokens and {count} more do not fit the context of {self.context}")
