"""A pattern and the format of the tensors it matches: regular expressions whose worst case is bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.formats import Format

LONGEST_NAME = 64  # GGML_MAX_NAME; a longer name matches no pattern
LONGEST_PATTERN = 512
MOST_PATHS = 4 * LONGEST_NAME**3  # three ".*" and a few alternatives: seconds at worst, on adversarial names
TOKEN = re.compile(
    r"(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\(\??)|(?P<close>\))|(?P<either>\|)"
    r"|(?P<repeat>[*+?]|\{(?=[\d,])(?P<low>\d*)(?:,(?P<high>\d*))?\})[?+]?"
    r"|\\?."
)


@dataclass(frozen=True)
class Pattern:
    """Tensors whose names contain a match of the regular expression (`re.search`) get the format.

    Raises UsageError for an expression that is not valid, or that could take too long on some name.
    """

    regex: str
    format: Format

    def __post_init__(self) -> None:
        if not self.regex or len(self.regex) > LONGEST_PATTERN or not self.regex.isprintable():
            raise UsageError(
                f"expected a pattern of 1 to {LONGEST_PATTERN} printable characters, got {self.regex[:80]!r}"
            )
        try:
            re.compile(self.regex)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"{self.regex!r} is not a regular expression: {error}") from None
        if re.search(r"\(\?(#|[a-zA-Z-]*x)", self.regex) or paths(self.regex) > MOST_PATHS:
            raise UsageError(
                f"{self.regex!r} could take too long to match: use fewer repetitions and alternatives, "
                "and none inside a repetition"
            )

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """From "REGEX=FORMAT". Raises UsageError for a bad pattern, UnknownNameError for an unknown format."""
        regex, separator, name = text.rpartition("=")
        if not separator or not regex:
            raise UsageError(f"expected REGEX=FORMAT, got {text[:80]!r}")
        return cls(regex, formats.get(name))

    @classmethod
    def exact(cls, name: str, format: Format) -> Pattern:
        """The pattern that matches one tensor, by its whole name. Raises UsageError for a name too long to match."""
        if len(name) > LONGEST_NAME:
            raise UsageError(f"expected a tensor name of at most {LONGEST_NAME} characters, got {name[:80]!r}")
        return cls(f"^{re.escape(name)}$", format)

    @property
    def name(self) -> str | None:
        """The whole name of the one tensor it matches, if `exact` made it; otherwise None."""
        name = re.sub(r"\\(.)", r"\1", self.regex[1:-1])
        return name if name and self.regex == f"^{re.escape(name)}$" else None

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The regular expression, compiled."""
        return re.compile(self.regex)

    def matches(self, name: str) -> bool:
        """Whether the pattern occurs in a tensor's name; never in an overlong one."""
        return len(name) <= LONGEST_NAME and self.compiled.search(name) is not None


def paths(regex: str) -> float:
    """An upper bound on the ways in which backtracking can try a valid `regex` at one place of a name.

    Alternatives add up, parts in sequence multiply, and a repetition multiplies by its maximum count. The bound is
    infinite if the repeated part can itself be tried in more than one way: such patterns take exponential time.
    """
    open_groups: list[tuple[float, float]] = []  # of the enclosing groups
    done, here, last = 0.0, 1.0, 1.0  # ways of earlier alternatives, of this one up to its last part, of that part
    for token in TOKEN.finditer(regex):
        if token["repeat"]:
            most = _most_rounds(token)
            if last > 1 and most > 1:
                return float("inf")
            last = last * max(most, 1) + (most == 1)
        elif token["open"]:
            open_groups.append((done, here * last))
            done, here, last = 0.0, 1.0, 1.0
        elif token["close"]:
            last = done + here * last
            done, here = open_groups.pop() if open_groups else (0.0, 1.0)
        elif token["either"]:
            done, here, last = done + here * last, 1.0, 1.0
        else:
            here, last = here * last, 1.0
    return done + here * last


def _most_rounds(token: re.Match[str]) -> int:
    """The maximum count of a repetition; if unlimited, that in the longest name."""
    if token["repeat"] == "?":
        return 1
    most = token["low"] if token["high"] is None else token["high"]
    return int(most or LONGEST_NAME)
