"""Templates: the only place where text becomes markup, and where everything is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Jinja with escaping always on, undefined names an error, and the filters of this room."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from nas.report import text

    made = Environment(
        loader=PackageLoader("nas.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clean": lambda value: text.clean(str(value)),
        "count": text.count,
        "size": text.size,
        "milliseconds": text.milliseconds,
        "three": text.three_digits,
        "duration": text.duration,
    }
    return made


def render(template: str, **values: Any) -> str:
    """A template of this room, filled."""
    return environment().get_template(template).render(**values)
