"""What the pages show: JSON documents by name, each made by one view.

A document's name is that of an exhibit, or EXHIBIT/KEY if it has one for each of many things. The server makes a
document when it is first asked for, an exported site holds all of them. A chapter's numbers are added here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitwright.errors import UnknownNameError, UsageError
from bitwright.explorer import chips, given, recorded
from bitwright.explorer.subject import Subject
from bitwright.hardware import devices
from bitwright.views import anatomy, codes, dequantize, methods, roofline
from bitwright.views.elements import elements
from bitwright.views.network import network
from bitwright.views.rows import row, rows, shown
from bitwright.views.site import site
from bitwright.views.sizes import sizes
from bitwright.views.weights import matrices, values, weights

Json = dict[str, Any]
SAFE = re.compile(r"[A-Za-z0-9][\w.+-]*")  # keys become names of files


@dataclass(frozen=True)
class Exhibit:
    """view: makes the document of a key. keys: those that there are; ("",) if there is but one document."""

    view: Callable[[Subject, str], Json]
    keys: Callable[[Subject], Sequence[str]] = lambda subject: ("",)


EXHIBITS: Mapping[str, Exhibit] = {
    "site": Exhibit(lambda s, _: site(s.file, s.name, s.live, s.report is not None, s.history is not None)),
    "elements": Exhibit(lambda s, _: elements()),
    "sizes": Exhibit(lambda s, _: sizes(s.file)),
    "rows": Exhibit(lambda s, _: rows(s.file)),
    "row": Exhibit(lambda s, name: row(s.file, name), lambda s: [tensor.name for tensor in shown(s.file)]),
    "weights": Exhibit(lambda s, _: weights(s.file, s.threads)),
    "values": Exhibit(lambda s, name: values(s.file, name), lambda s: matrices(s.file)),
    "removal": Exhibit(lambda s, _: recorded.removed(s)),
    "report": Exhibit(lambda s, _: given.report(s.report)),
    "shapes": Exhibit(lambda s, _: {"shapes": list(given.SHAPES)}),
    "machines": Exhibit(lambda s, key: given.machines(s.path, key), lambda s: given.SHAPES),
    "two-models": Exhibit(lambda s, _: given.two_models()),
    "network": Exhibit(lambda s, _: network()),
    "dots": Exhibit(lambda s, _: dequantize.shown(s.file)),
    "dot": Exhibit(
        lambda s, name: dequantize.dequantize(s.file, s.layer, name), lambda s: dequantize.shown(s.file)["formats"]
    ),
    "chips": Exhibit(lambda s, _: roofline.devices(devices.devices().values(), chips.remembered(s))),
    "chip": Exhibit(chips.chip, chips.keys),
    "layer": Exhibit(lambda s, _: codes.layer(s.file)),
    "codes": Exhibit(lambda s, name: codes.codes(s.layer, name), lambda s: codes.layer(s.file)["formats"]),
    "feedback": Exhibit(lambda s, _: codes.feedback(s.layer), lambda s: ("",) if codes.layer(s.file)["tensor"] else ()),
    "method": Exhibit(lambda s, _: methods.available(s.file)),
    "methods": Exhibit(
        lambda s, _: methods.methods(s.file, s.threads), lambda s: ("",) if methods.available(s.file)["format"] else ()
    ),
    "anatomies": Exhibit(lambda s, _: anatomy.shown(s.file)),
    "anatomy": Exhibit(lambda s, name: anatomy.block_anatomy(s.file, name), lambda s: anatomy.names(s.file)),
    "next-token": Exhibit(recorded.next_tokens, recorded.keys),
    "compounding": Exhibit(recorded.partings, recorded.keys),
    "survival": Exhibit(recorded.survivals, recorded.recipes),
    "plans": Exhibit(recorded.planned, recorded.recipes),
    "allocation": Exhibit(lambda s, _: recorded.allocated(s)),
}


class Documents:
    """The documents of one subject, each made once, however many ask at the same time."""

    def __init__(self, subject: Subject, exhibits: Mapping[str, Exhibit] = EXHIBITS) -> None:
        self.subject, self.exhibits = subject, exhibits
        self._made: dict[str, Json] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def names(self) -> Iterator[str]:
        """The names of all documents."""
        for name, exhibit in self.exhibits.items():
            for key in exhibit.keys(self.subject):
                if key and not SAFE.fullmatch(key):
                    raise UsageError(f"{self.subject.name}: {key!r} cannot be the name of a file in an exported site")
                yield f"{name}/{key}" if key else name

    def __getitem__(self, name: str) -> Json:
        """The document called `name`. Raises UnknownNameError if there is none."""
        exhibit, _, key = name.partition("/")
        if exhibit not in self.exhibits or key not in self.exhibits[exhibit].keys(self.subject):
            raise UnknownNameError("document", name, list(self.names()))
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._made:
                self._made[name] = self.exhibits[exhibit].view(self.subject, key)
            return self._made[name]
