"""The values a block's knob may take."""

from __future__ import annotations

from typing import Any


class Choice:
    """A knob whose value is one of a few; the first one is the default.

    Values are str, bool, int or float. ``Choice(role="mixer")`` is a knob whose value is itself a block
    of that role.

    >>> Choice(3, 5, 7).default
    3
    """

    __slots__ = ("role", "values")

    def __init__(self, *values: Any, role: str | None = None) -> None:
        if not values and role is None:
            raise ValueError("a Choice needs at least one value, or a role")
        self.values = values
        self.role = role

    @property
    def default(self) -> Any:
        """The first value, or None for a knob that takes a block."""
        return self.values[0] if self.values else None

    def allows(self, value: Any) -> bool:
        """Whether a space file may use this value.

        A knob of numbers accepts any number between its smallest and its largest value, since a published
        network may use a width or an expansion that no search would list.
        """
        if self.role is not None or value in self.values:
            return True
        numbers = [v for v in self.values if isinstance(v, int | float) and not isinstance(v, bool)]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and numbers and len(numbers) == len(self.values)):
            return False
        whole = all(isinstance(v, int) for v in numbers)
        return min(numbers) <= value <= max(numbers) and not (whole and isinstance(value, float))

    def __repr__(self) -> str:
        inner = f"role={self.role!r}" if self.role else ", ".join(map(repr, self.values))
        return f"Choice({inner})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Choice):
            return NotImplemented
        return (self.values, self.role) == (other.values, other.role)

    def __hash__(self) -> int:
        return hash((self.values, self.role))
