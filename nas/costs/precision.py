"""How many bytes one number takes in each precision a network is deployed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import UnknownNameError


@dataclass(frozen=True)
class Widths:
    """Bytes of one activation and of one weight; integers and booleans keep their own size."""

    activation: int
    weight: int


WIDTHS: Mapping[str, Widths] = {
    "fp32": Widths(4, 4),
    "tf32": Widths(4, 4),
    "fp16": Widths(2, 2),
    "bf16": Widths(2, 2),
    "amp-fp16": Widths(2, 4),  # autocast keeps the weights in fp32
    "int8": Widths(1, 1),
}


def widths_of(precision: str) -> Widths:
    """The widths of a precision; UnknownNameError where there is none of that name.

    >>> widths_of("amp-fp16")
    Widths(activation=2, weight=4)
    """
    if precision not in WIDTHS:
        raise UnknownNameError("precision", precision, WIDTHS)
    return WIDTHS[precision]
