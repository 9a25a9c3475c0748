"""A program, a memory, and the position of each sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine

BATCH = 512  # tokens per run: enough for the prefill kernels, few enough that Ctrl-C takes effect soon
RELEASE = 32  # tokens after which mapped pages of the embedding are released; takes about 0.1 ms

Float32 = NDArray[np.float32]
Ids = Sequence[int] | NDArray[np.int32]


class Session:
    """Runs tokens through a model and remembers them; each of `sequences` sequences holds a text.

    Methods default to sequence 0. Not for use from two threads at once.
    """

    def __init__(self, engine: Engine, sequences: int = 1) -> None:
        self.engine, self.model, self.context, self._looked_up = engine, engine.model, engine.context, 0
        self.ids: list[list[int]] = [[] for _ in range(sequences)]  # what the memory holds, by sequence
        self.batch = min(BATCH, engine.context)
        self.program = engine.program()
        backend, kv = engine.backend, engine.options.kv
        self.memory = backend.memory(self.program, engine.context, sequences, self.batch, kv, engine.options.room)
        self.executor = backend.executor(self.program, self.batch)

    def __repr__(self) -> str:
        held = ", ".join(map(str, self.positions))
        return f"<Session of {self.engine.path.name}: {held} of {self.context} tokens>"

    @property
    def positions(self) -> list[int]:
        """How many tokens of each sequence the memory holds."""
        return [len(ids) for ids in self.ids]

    @property
    def position(self) -> int:
        """How many tokens of sequence 0 the memory holds."""
        return len(self.ids[0])

    @property
    def footprint(self) -> dict[str, int]:
        """Bytes in memory: `cache` of keys and values when full, `packed` weights (shared by the sessions of an engine)
        and `buffers` of activations."""
        return {
            "cache": self.memory.bytes,
            "packed": self.program.bank.bytes,
            "buffers": self.executor.bytes,
        }

    def prefill(self, ids: Ids, sequence: int = 0) -> Float32:
        """Read `ids`; the logits (vocabulary,) after the last. UsageError if there are no ids or no room."""
        if not len(ids):
            raise UsageError("there is nothing to read: at least one token is needed")
        logits: Float32 = self.extend(ids, [len(ids) - 1], sequence)[0]
        return logits

    def step(self, id: int, sequence: int = 0) -> Float32:
        """Read one token; the logits (vocabulary,) after it."""
        logits: Float32 = self.extend([id], [0], sequence)[0]
        return logits

    def logits(self, ids: Ids, sequence: int = 0) -> Float32:
        """Read `ids`; the logits (tokens, vocabulary) after each."""
        return self.extend(ids, range(len(ids)), sequence)

    def extend(self, ids: Ids, outputs: Sequence[int], sequence: int = 0) -> Float32:
        """Read `ids` in batches; the logits (outputs, vocabulary) after those at the ascending indices `outputs`."""
        self._check_room(len(ids), sequence)
        tokens, wanted = np.asarray(ids, np.int32), np.asarray(outputs, np.int32)
        results = []
        for start in range(0, len(tokens), self.batch):
            part = tokens[start : start + self.batch]
            local = wanted[(wanted >= start) & (wanted < start + len(part))] - start
            results.append(self._run({sequence: part}, local))
        filled = [r for r in results if len(r)]
        if len(filled) == 1:
            return filled[0]
        return np.concatenate(filled) if filled else np.empty((0, self.model.config.vocabulary), np.float32)

    def advance(self, ids: Mapping[int, Ids], outputs: Mapping[int, Sequence[int]] | None = None) -> Float32:
        """Read some tokens of several sequences in one run; a few tokens cost about as much as one.

        `ids` maps a sequence to its next tokens, at least one. `outputs` maps a sequence to the indices of its tokens
        whose logits to return (default: the last of each sequence). Returns the logits (outputs, vocabulary), in the
        order of `ids` and, within a sequence, of its outputs.
        """
        for sequence, own in ids.items():
            if not len(own):
                raise UsageError(f"sequence {sequence} has nothing to read: at least one token is needed")
            self._check_room(len(own), sequence)
        wanted, start = [], 0
        for sequence, own in ids.items():
            chosen = [len(own) - 1] if outputs is None else outputs.get(sequence, ())
            if any(not 0 <= index < len(own) for index in chosen):
                raise UsageError(f"outputs of sequence {sequence} must lie in 0 to {len(own) - 1}, got {list(chosen)}")
            wanted += [start + index for index in chosen]
            start += len(own)
        return self._run(ids, np.array(wanted, np.int32))

    def _run(self, ids: Mapping[int, Ids], outputs: NDArray[np.int32]) -> Float32:
        """One run. From time to time, mapped pages of the embedding are released: for each row looked up, a system maps
        as much as 2 MiB. A sequence whose last run was interrupted or failed is set right first."""
        for sequence in ids:
            if self.memory.lengths[sequence] != len(self.ids[sequence]):
                self.reset(len(self.ids[sequence]), sequence)
        lengths = [len(own) for own in ids.values()]
        tokens = np.concatenate([np.asarray(own, np.int32) for own in ids.values()])
        places = np.concatenate([np.arange(len(own)) + len(self.ids[sequence]) for sequence, own in ids.items()])
        sequences = np.repeat(list(ids), lengths)
        result = self.executor.run(self.memory, tokens, places, sequences, outputs)
        for sequence, own in ids.items():
            self.ids[sequence] += np.asarray(own, np.int32).tolist()
        self._looked_up += len(tokens)
        if self._looked_up >= RELEASE:
            self.model.release()
            self._looked_up = 0
        return result

    def replace(self, tensors: Mapping[str, QuantizedTensor]) -> None:
        """Replace some tensors. Only the new ones are packed; nothing else is packed or copied again.

        Keys and values in memory stay as the earlier weights computed them. BitwrightError if a shape differs.
        """
        self.program = self.program.replace(tensors)
        self.executor = self.engine.backend.executor(self.program, self.batch)

    def fork(self, source: int, target: int) -> None:
        """Make sequence `target` a copy of `source`; they share full pages of memory."""
        self._check_sequence(source)
        self._check_sequence(target)
        self.memory.fork(source, target)
        self.ids[target] = list(self.ids[source])

    def save(self, sequence: int = 0) -> NDArray[np.uint8]:
        """A sequence's keys, values and states as bytes, for `restore`."""
        self._check_sequence(sequence)
        return self.memory.save(sequence)

    def restore(self, ids: Ids, saved: NDArray[np.uint8], sequence: int = 0) -> None:
        """Set a sequence to the tokens `ids`, whose memory was saved. UsageError if their lengths differ."""
        self._check_sequence(sequence)
        self.memory.restore(sequence, saved)
        if self.memory.lengths[sequence] != len(ids):
            held = self.memory.lengths[sequence]
            self.memory.drop(sequence)
            self.ids[sequence] = []
            raise UsageError(f"expected the {held} token ids of the saved sequence, got {len(ids)}")
        self.ids[sequence] = list(ids)

    def adopt(self, other: Session, sequence: int = 0, keep: int = 0) -> None:
        """Take over a sequence from `other`, another model's session, with its keys and values, except for those of the
        first `keep` tokens, which stay as they are. UsageError if the memories are not alike or those tokens differ.
        """
        self._check_sequence(sequence)
        other._check_sequence(sequence)
        own, taken = self.ids[sequence], other.ids[sequence]
        if keep > len(own) or own[:keep] != taken[:keep]:
            raise UsageError(f"sequence {sequence} does not begin with the same {keep} tokens in both sessions")
        self.memory.adopt(other.memory, sequence, keep, len(taken))
        self.ids[sequence] = list(taken)

    def reset(self, keep: int = 0, sequence: int = 0) -> None:
        """Forget a sequence except for its first `keep` tokens.

        Going back rereads the kept tokens if the model has layers with a state, which cannot go back, or if layers with
        a window no longer hold what is needed.
        """
        self._check_sequence(sequence)
        ids = self.ids[sequence]
        if not 0 <= keep <= len(ids):
            raise UsageError(f"sequence {sequence} can keep 0 to {len(ids)} tokens, not {keep}")
        held = self.memory.lengths[sequence]
        lost = keep > held or keep < min(held, self.memory.earliest[sequence])
        self.ids[sequence] = [] if lost else ids[:keep]
        self.memory.drop(sequence, len(self.ids[sequence]))
        if lost and keep:
            self.extend(ids[:keep], [], sequence)

    def evict(self, sequence: int) -> None:
        """Forget a sequence and return unused memory to the system."""
        self._check_sequence(sequence)
        self.memory.evict(sequence)
        self.ids[sequence] = []

    def _check_sequence(self, sequence: int) -> None:
        if not 0 <= sequence < len(self.ids):
            raise UsageError(f"expected a sequence from 0 to {len(self.ids) - 1}, got {sequence}")

    def _check_room(self, count: int, sequence: int) -> None:
        self._check_sequence(sequence)
        held = len(self.ids[sequence])
        if held + count > self.context:
            raise UsageError(
                f"{held} tokens and {count} more do not fit the context of {self.context}: load the model "
                "with a larger one, or read less"
            )
