"""What was used last is kept, within a bound of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values used last, of at most `limit` bytes together; the one added last always stays."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._held: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> Value | None:
        """The value, which is now the one used last; None if it is not held."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Key, value: Value, size: int) -> Value:
        """Hold a value of `size` bytes; forget those unused for longest."""
        self.bytes -= self._held.pop(key, (value, 0))[1]
        self._held[key] = value, size
        self.bytes += size
        while self.bytes > self.limit and len(self._held) > 1:
            self.bytes -= self._held.popitem(last=False)[1][1]
        return value
