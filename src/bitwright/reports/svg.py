"""Plots as SVG text: enough for a report, without external resources. The page's style sets the colours.

Every plot is drawn in two frames, for wide and for narrow windows, because text in a drawing shrinks with it; the
page's style shows one. A screen reader reads `aria-label`, which says what the axes are and where the marks lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape

RIGHT, TOP, BOTTOM = 20, 16, 44
DIGIT, TURNED = 7.5, 24  # the width of a digit, and the room for the name of the axis on the left
RADIUS = 9  # of a point's number
COLORS = 6  # classes c0 to c5 in the page's style

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The size of a plot in pixels, and the room on its left for numbers, or for the names of bars (0: above them)."""

    name: str
    width: int
    height: int
    left: int
    names: int


WIDE, NARROW = Frame("wide", 760, 330, 72, 200), Frame("narrow", 360, 290, 66, 0)
FRAMES = (WIDE, NARROW)


@dataclass(frozen=True)
class Series:
    """A named line, or points; `low` and `high` are a band around a line, or whiskers at its points; `across` are the
    ends of a whisker along the other axis, at its first point."""

    name: str
    points: Sequence[Point]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    steps: bool = False
    across: tuple[float, float] | None = None


@dataclass(frozen=True)
class Axis:
    """From `low` to `high` over a length of pixels that starts at `at` (a negative length goes upwards)."""

    low: float
    high: float
    at: float
    length: float
    log: bool = False
    label: str = ""
    text: Callable[[float], str] = field(default=lambda x: f"{x:g}")

    def __call__(self, value: float) -> float:
        """The pixel at which a value lies; zero lies just inside a logarithmic axis."""
        if self.log and value <= 0:
            return self.at + 0.04 * self.length
        low, high, value = (math.log10(max(x, 1e-300)) if self.log else x for x in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.at + self.length * min(max(share, -0.02), 1.02)

    def ticks(self) -> list[float]:
        """About five round values; powers of ten on a logarithmic axis, with 2 and 5 in between if there are few."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            factors = (1,) if last - first > 3 else (1, 2, 5)
            found = [f * 10.0**e for e in range(first, last + 1) for f in factors]
        else:
            raw = (self.high - self.low) / 5 or 1
            unit = 10 ** math.floor(math.log10(raw))
            step = next(unit * f for f in (1, 2, 2.5, 5, 10) if unit * f >= raw)
            found = [step * n for n in range(math.floor(self.low / step), math.ceil(self.high / step) + 1)]
        slack = 1e-9 * abs(self.high - self.low)
        return [x for x in found if self.low - slack <= x <= self.high + slack]


def plot(
    series: Sequence[Series],
    x: str,
    y: str,
    frame: Frame = WIDE,
    log_x: bool = False,
    log_y: bool = False,
    lines: bool = True,
    x_text: Callable[[float], str] = lambda v: f"{v:g}",
    y_text: Callable[[float], str] = lambda v: f"{v:g}",
    floor: float | None = None,
    joined: Sequence[Point] = (),
    zero_x: bool = False,
) -> str:
    """Lines, or points numbered by series from 1; `floor` draws a dashed line across, `joined` a thin line through its
    points; with `zero_x` the horizontal axis starts at 0."""
    xs = [p[0] for s in series for p in s.points] + [v for s in series for v in s.across or ()]
    xs += [0.0] if zero_x else []
    ys = [p[1] for s in series for p in s.points] + [v for s in series for v in (*s.low, *s.high)]
    ys += [floor] if floor is not None else []
    up = Axis(*_range(ys, log_y), frame.height - BOTTOM, TOP + BOTTOM - frame.height, log_y, y, y_text)
    longest = max(len(y_text(tick)) for tick in up.ticks())
    frame = replace(frame, left=max(frame.left, round(TURNED + DIGIT * longest)))
    across = Axis(*_range(xs, log_x), frame.left, frame.width - frame.left - RIGHT, log_x, x, x_text)
    parts = _axes(across, up, frame)
    if floor is not None:
        parts.append(f'<path class="floor" d="M{frame.left},{up(floor):.1f}H{frame.width - RIGHT}"/>')
        parts.append(_text(frame.width - RIGHT, up(floor) - 4, "noise floor", "end"))
    if joined:
        parts.append(f'<path class="joined" d="M{"L".join(f"{across(px):.1f},{up(py):.1f}" for px, py in joined)}"/>')
    for number, s in enumerate(series):
        parts += _line(s, across, up, _color(number)) if lines else _whiskers(s, across, up)
    parts += [] if lines else _numbers(series, across, up)
    spoken = "; ".join(_spoken(s, x_text, lines) for s in series)
    return _svg(parts, frame, frame.height, f"{y}, by {x}. {spoken}")


def bars(rows: Sequence[tuple[str, float, float, float]], label: str, frame: Frame = WIDE) -> str:
    """Horizontal bars from zero: name, value, low and high (NaN: no whisker)."""
    left, right, room = frame.names or 8, frame.width - 70, 26 if frame.names else 42
    values = [v for _, *row in rows for v in row if math.isfinite(v)]
    low = min(0.0, *values)
    across = Axis(low, max(*values, low + 1e-12), left, right - left)
    bottom = TOP + len(rows) * room
    parts = []
    for tick in across.ticks():
        parts.append(f'<path class="grid" d="M{across(tick):.1f},{TOP}V{bottom}"/>')
        parts.append(_text(across(tick), bottom + 16, across.text(tick), "middle"))
    for number, (name, value, least, most) in enumerate(rows):
        y = TOP + (number + 1) * room - 26  # of the bar's row, which lies below the name if there is no room beside it
        parts.append(_text(left - 8, y + 14, name, "end") if frame.names else _text(left, y - 1, name, "start"))
        start, end = sorted((across(0), across(value)))
        shape = f'x="{start:.1f}" y="{y + 3}" width="{max(end - start, 0.5):.1f}" height="16"'
        parts.append(f'<rect class="bar" {shape}/>')
        if math.isfinite(least) and math.isfinite(most):
            parts.append(f'<path class="whisker" d="M{across(least):.1f},{y + 11}H{across(most):.1f}"/>')
        parts.append(_text(right + 8, y + 15, f"{value:.3g}", "start"))
    parts.append(_text((left + right) / 2, bottom + 36, label, "middle"))
    return _svg(parts, frame, bottom + 44, f"{label}. " + "; ".join(f"{name}: {value:.3g}" for name, value, *_ in rows))


def legend(names: Sequence[str], numbered: bool = False) -> str:
    """What the lines, or the numbered points, of a plot are."""
    items = (f'<li class="{"number" if numbered else "key"} {_color(n)}">{f"<b>{n + 1}</b> " if numbered else ""}'
             f"{escape(name)}</li>" for n, name in enumerate(names))  # fmt: skip
    return f'<ul class="legend">{"".join(items)}</ul>'


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    """The range of an axis: slightly more than the values, from 0 if they are near it."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    if log:
        return (low / 1.3, high * 1.3)
    if 0 <= low < 0.5 * high:
        low = 0.0
    room = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return low - (room if low else 0), high + room


def _axes(x: Axis, y: Axis, frame: Frame) -> list[str]:
    bottom, parts = frame.height - BOTTOM, []
    for value in x.ticks():
        parts.append(f'<path class="grid" d="M{x(value):.1f},{TOP}V{bottom}"/>')
        parts.append(_text(x(value), bottom + 16, x.text(value), "middle"))
    for value in y.ticks():
        parts.append(f'<path class="grid" d="M{frame.left},{y(value):.1f}H{frame.width - RIGHT}"/>')
        parts.append(_text(frame.left - 6, y(value) + 4, y.text(value), "end"))
    parts.append(_text((frame.left + frame.width - RIGHT) / 2, frame.height - 8, x.label, "middle"))
    middle = (TOP + bottom) / 2
    turned = f'<text transform="translate(13,{middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    return [*parts, turned]


def _line(s: Series, x: Axis, y: Axis, color: str) -> list[str]:
    parts = []
    if s.low:
        band = [(p[0], low, high) for p, low, high in zip(s.points, s.low, s.high, strict=True)
                if math.isfinite(low) and math.isfinite(high)]  # fmt: skip
        edge = [f"{x(at):.1f},{y(low):.1f}" for at, low, _ in band]
        edge += [f"{x(at):.1f},{y(high):.1f}" for at, _, high in band[::-1]]
        parts.append(f'<path class="band {color}" d="M{"L".join(edge)}Z"/>' if edge else "")
    path, last = [], None
    for px, py in [point for point in s.points if math.isfinite(point[1])]:
        if s.steps and last is not None:
            path.append(f"{x(px):.1f},{y(last):.1f}")
        path.append(f"{x(px):.1f},{y(py):.1f}")
        last = py
    if not path:
        return parts
    return [*parts, f'<path class="line {color}" d="M{"L".join(path)}"/>']


def _whiskers(s: Series, x: Axis, y: Axis) -> list[str]:
    parts = []
    for (px, _), low, high in zip(s.points, s.low, s.high, strict=False):
        if math.isfinite(low):
            parts.append(f'<path class="whisker" d="M{x(px):.1f},{y(low):.1f}V{y(high):.1f}"/>')
    if s.across:
        left, right = map(x, s.across)
        parts.append(f'<path class="whisker" d="M{left:.1f},{y(s.points[0][1]):.1f}H{right:.1f}"/>')
    return parts


def _numbers(series: Sequence[Series], x: Axis, y: Axis) -> list[str]:
    """Points with the numbers of their series; a number that would cover another stands aside, on a leader."""
    spots = [(x(px), y(py), number) for number, s in enumerate(series) for px, py in s.points]
    parts, taken = [], list[Point]()
    for px, py, number in spots:
        color, others = _color(number), [spot[:2] for spot in spots if spot[:2] != (px, py)]
        tx, ty = _free(px, py, x, y, taken, others)
        taken.append((tx, ty))
        if (tx, ty) != (px, py):
            parts.append(f'<path class="leader {color}" d="M{px:.1f},{py:.1f}L{tx:.1f},{ty:.1f}"/>')
            parts.append(f'<circle class="{color}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>')
        parts.append(f'<circle class="{color}" cx="{tx:.1f}" cy="{ty:.1f}" r="{RADIUS}"/>')
        parts.append(f'<text class="number" x="{tx:.1f}" y="{ty + 4:.1f}" text-anchor="middle">{number + 1}</text>')
    return parts


def _free(px: float, py: float, x: Axis, y: Axis, taken: Sequence[Point], others: Sequence[Point]) -> Point:
    """The place nearest to a point, on rings around it, that is off the axes and covers no number in `taken`; if it is
    not the point itself, none of the `others` either."""
    rings = [(24 * ring, math.tau * turn / (8 * ring)) for ring in range(1, 5) for turn in range(8 * ring)]
    for r, angle in [(0, 0.0), *rings]:
        place = px + r * math.cos(angle), py - r * math.sin(angle)
        inside = RADIUS <= place[0] - x.at <= x.length + RIGHT - RADIUS and RADIUS <= place[1] <= y.at
        covered = [*taken, *others] if r else taken
        if inside and all(math.dist(place, other) >= 2 * RADIUS for other in covered):
            return place
    return px, py


def _color(number: int) -> str:
    """The classes of a series: a colour with its dashes, and thinner lines once all colours are used."""
    return f"c{number % COLORS}" + (" again" if number >= COLORS else "")


def _spoken(s: Series, x_text: Callable[[float], str], lines: bool) -> str:
    """Where a series lies, for who hears the plot: all points, or a line's first, middle and last."""
    known = [point for point in s.points if math.isfinite(point[1])]
    if lines and len(known) > 3:
        known = [known[0], known[len(known) // 2], known[-1]]
    return f"{s.name}: " + ", ".join(f"{py:.3g} at {x_text(px)}" for px, py in known)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], frame: Frame, height: float, spoken: str) -> str:
    box = f'viewBox="0 0 {frame.width} {height:.0f}"'
    return f'<svg class="{frame.name}" {box} role="img" aria-label="{escape(spoken)}">{"".join(parts)}</svg>'
