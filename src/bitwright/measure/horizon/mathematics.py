"""Mathematics: problems with drawn numbers, to be solved step by step."""

from __future__ import annotations

from bitwright.measure.horizon.draw import NAMES, PLACES, Draw

STYLES = (
    "Solve the problem step by step and give the answer on the last line.",
    "Show your reasoning, then write the final answer after the word Answer.",
    "Think it through carefully and explain every step.",
)


def turns(d: Draw, family: int) -> list[str]:
    """One message with a problem."""
    return [f"{FAMILIES[family % len(FAMILIES)](d)}\n\n{d.of(STYLES)}"]


def _trade(d: Draw) -> str:
    who, other = d.some(NAMES, 2)
    thing = d.of(("lanterns", "jars of honey", "bicycle bells", "woollen hats", "notebooks", "clay bowls"))
    n, price, share = d.between(18, 96), d.between(4, 19), d.of((3, 4, 5, 6))
    return (
        f"{who} makes {n * share} {thing} and sells one in {share} of them on Friday for {price} crowns each. On "
        f"Saturday the price is {d.of((10, 20, 25, 50))}% lower and half of the rest is sold. {other} buys all that is "
        f"left on Sunday for {d.between(40, 400)} crowns. How much did {who} take in over the three days?"
    )


def _journey(d: Draw) -> str:
    a, b = d.some(PLACES, 2)
    fast, slow, away = d.between(14, 30), d.between(4, 12), d.between(24, 120)
    return (
        f"{a} and {b} are {away} km apart. At {d.between(6, 10)} o'clock a cyclist leaves {a} for {b} at {fast} km/h, "
        f"and {d.of((15, 20, 30, 45))} minutes later a walker leaves {b} for {a} on the same road at {slow} km/h. The "
        f"cyclist rests for {d.between(5, 25)} minutes after the first {d.between(8, 20)} km. When and how far from "
        f"{a} do they meet?"
    )


def _equations(d: Draw) -> str:
    x, y, z = (d.between(-9, 12) for _ in range(3))
    rows = []
    for _ in range(3):
        a, b, c = (d.of((-5, -3, -2, 1, 2, 3, 4, 7)) for _ in range(3))
        rows.append(f"{a}x {b:+}y {c:+}z = {a * x + b * y + c * z}")
    return f"Find all real solutions of the system\n\n{chr(10).join(rows)}\n\nand say whether there is more than one."


def _remainders(d: Draw) -> str:
    p, q, r = d.some((5, 7, 8, 9, 11, 13), 3)
    secret = d.between(200, 4000)
    return (
        f"A gardener plants bulbs. In rows of {p} there are {secret % p} left over, in rows of {q} there are "
        f"{secret % q}, and in rows of {r} there are {secret % r}. There are fewer than {p * q * r} bulbs. How many "
        "are there? Prove that the number is the only one."
    )


def _counting(d: Draw) -> str:
    n, k, apart = d.between(7, 12), d.between(3, 5), d.some(NAMES, 2)
    return (
        f"{n} people sit at a round table, {apart[0]} and {apart[1]} among them. A committee of {k} is chosen so that "
        f"no two of its members are neighbours and {apart[0]} and {apart[1]} are not both in it; the two sit "
        f"{d.between(2, 3)} places apart. In how many ways can that be done? Two choices are equal only if the same "
        "people are chosen."
    )


def _geometry(d: Draw) -> str:
    a, b, angle = d.between(5, 24), d.between(5, 24), d.of((30, 45, 60, 120, 135))
    return (
        f"In triangle ABC, AB = {a}, AC = {b} and the angle at A is {angle} degrees. The bisector of that angle meets "
        f"BC in D, and the point E on AD divides AD in the ratio {d.between(1, 4)} : {d.between(1, 4)}. Find the "
        "length of AD and the area of triangle EBC, first exactly and then to two decimals."
    )


FAMILIES = (_trade, _journey, _equations, _remainders, _counting, _geometry)
