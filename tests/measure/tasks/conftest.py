"""What the tests of tasks share."""

from __future__ import annotations

import pytest

from bitwright.errors import BitwrightError
from bitwright.measure.tasks import sandbox


@pytest.fixture
def guarded() -> None:
    """Skip where the jail cannot keep its promises."""
    try:
        sandbox.check()
    except BitwrightError as error:
        pytest.skip(str(error))
