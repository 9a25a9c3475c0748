"""By what an entry of the palette is known: all that decides its bytes and its objective.

That is the source tensor, the format, the method and its effort, the tensor's statistics and the version of the
encoders. What differs in anything is another entry.
"""

from __future__ import annotations

import hashlib
import json

from bitwright.formats import Format
from bitwright.io.gguf import GGUF
from bitwright.quantizers.quantizer import Quantizer

ENCODERS = 1  # raised when an encoder chooses other codes
Pair = tuple[str, Format]  # the name of a tensor, and a format


class Keys:
    """The keys of a model's tensors in any format by a quantizer. Everything is read once, when it is needed."""

    def __init__(self, model: GGUF, quantizer: Quantizer) -> None:
        self._model, self._quantizer = model, quantizer
        self._sources: dict[str, str] = {}
        self._moments: dict[object, str] = {}
        self._keys: dict[Pair, str] = {}

    def of(self, name: str, format: Format) -> str:
        """The key, 64 hexadecimal digits."""
        if (name, format) not in self._keys:
            self._keys[name, format] = self._new(name, format)
        return self._keys[name, format]

    def _new(self, name: str, format: Format) -> str:
        info = self._model.tensors[name]
        method = self._quantizer.method_of(info, format)
        parts = {
            "encoders": ENCODERS,
            "source": [self._source(name), info.shape, info.format.name],
            "format": format.name,
            "method": method,
            "effort": self._quantizer.effort if method == "feedback" else None,
            "statistics": self._statistics(name),
        }
        return _digest(json.dumps(parts, sort_keys=True).encode())

    def _source(self, name: str) -> str:
        if name not in self._sources:
            self._sources[name] = _digest(self._model.tensor(name).data.data)
            self._model.release()  # its pages: keys of all tensors are often asked for at once
        return self._sources[name]

    def _statistics(self, name: str) -> list[str | None]:
        statistics = self._quantizer.statistics
        if statistics is None:
            return []
        moment, importance = statistics.moment(name), statistics.importance(name)
        if moment is not None and moment not in self._moments:
            self._moments[moment] = _digest(moment.packed().data)
        return [
            None if importance is None else _digest(importance.data),
            None if moment is None else self._moments[moment],
            _digest(statistics.tokens(name).data),
        ]


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
