"""Text from outside made fit to show, and numbers for people."""

from __future__ import annotations

import math
import unicodedata


def clean(text: str, limit: int = 2000) -> str:
    """The text without what could hide or reorder it, cut to `limit` characters.

    Control characters, marks that change the direction of writing and lone surrogates become U+FFFD; a
    newline stays. Markup is not touched: the templates escape it.

    >>> clean("up\\u202edown")
    'up\\ufffddown'
    """
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "\ufffd" for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def first_line(text: str, limit: int = 200) -> str:
    """The first line that says something, cleaned."""
    return next((clean(line.strip(), limit) for line in text.splitlines() if line.strip()), "")


def three_digits(value: float) -> str:
    """Three significant digits without an exponent where the number is of a readable size.

    >>> three_digits(0.14231), three_digits(31415.0), three_digits(0)
    ('0.142', '31415', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if not -5 <= exponent < 7:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - exponent)}f}"


def count(value: float) -> str:
    """A count with a unit: 3.50 M, 319 M, 25.6 k.

    >>> count(3_504_872)
    '3.50 M'
    """
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{three_digits(value / size)} {unit}"
    return f"{value:.0f}"


def size(value: float) -> str:
    """A number of bytes: 392 B, 10.6 kB.

    >>> size(10_600), size(0)
    ('10.6 kB', '0 B')
    """
    text = count(value)
    return f"{text}B" if " " in text else f"{text} B"


def milliseconds(value: float) -> str:
    """A time with its unit: 0.142 ms, 3.10 s; below a ten-thousandth in µs.

    >>> milliseconds(0.1423)
    '0.142 ms'
    """
    if abs(value) >= 1000:
        return f"{three_digits(value / 1000)} s"
    if 0 < abs(value) < 1e-4:
        return f"{three_digits(value * 1000)} µs"
    return f"{three_digits(value)} ms"


def millijoules(value: float) -> str:
    """An energy with its unit: 29.0 mJ, 6.83 J.

    >>> millijoules(6830.0)
    '6.83 J'
    """
    return f"{three_digits(value)} mJ" if abs(value) < 1000 else f"{three_digits(value / 1000)} J"


def duration(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 05 s, 2 h 10 min.

    >>> duration(185)
    '3 min 05 s'
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
