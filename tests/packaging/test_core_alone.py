"""The core does not lean on any block family: its own tests pass with the base and hardware plugins alone."""

from __future__ import annotations

import pytest
from core_alone import check_room


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("room", ["spaces", "blocks", "training"])
def test_the_tests_of_a_room_pass_without_the_families(room: str) -> None:
    check_room(room)
