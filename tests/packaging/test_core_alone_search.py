"""The search room alone: a file of its own, so that it runs beside the others."""

from __future__ import annotations

import pytest
from core_alone import check_room


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("room", ["search"])
def test_the_tests_of_a_room_pass_without_the_families(room: str) -> None:
    check_room(room)
