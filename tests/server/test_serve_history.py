"""Which responses are kept, and for how long."""

from __future__ import annotations

import pytest

from bitwright.server.errors import Refused
from bitwright.server.history import History
from bitwright.server.items import Said


def held(history: History, *ids: str) -> list[str]:
    found = []
    for id in ids:
        try:
            found.append(str(history.get(id).response["id"]))
        except Refused as refused:
            assert refused.status == 404
    return found


def test_the_least_recently_used_response_is_forgotten_first() -> None:
    history = History(most=2)
    for id in ("a", "b"):
        history.add({"id": id}, [], [])
    assert held(history, "b", "a") == ["b", "a"]
    history.add({"id": "c"}, [], [])
    assert held(history, "a", "b", "c") == ["a", "c"]


def test_the_text_that_is_kept_is_bounded() -> None:
    history = History(size=1000)
    for n in range(10):
        history.add({"id": f"{n}"}, [Said(role="user", content="x" * 200)], [Said(role="assistant", content="y" * 100)])
        assert history.held <= 1000
    assert held(history, *map(str, range(10))) == ["8", "9"]
    history.drop("8")
    history.drop("9")
    assert history.held == 0
    history.add({"id": "large"}, [Said(role="user", content="x" * 1000)], [])
    assert history.held == 0 and held(history, "large") == []
    with pytest.raises(Refused, match="send the whole conversation"):
        history.drop("large")
