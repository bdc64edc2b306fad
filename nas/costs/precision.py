"""How many bytes one number takes in each precision a network is deployed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nas.errors import UnknownNameError


@dataclass(frozen=True)
class Widths:
    """Bytes of one activation and of one weight; None: what the number has when it runs, as autocast casts
    it. Integers and booleans keep their own size."""

    activation: int | None
    weight: int | None


WIDTHS: Mapping[str, Widths] = {
    "fp32": Widths(4, 4),
    "tf32": Widths(4, 4),
    "fp16": Widths(2, 2),
    "bf16": Widths(2, 2),
    "amp-fp16": Widths(None, None),
    "int8": Widths(1, 1),
}


AUTOCAST: Mapping[str, torch.dtype] = {"amp-fp16": torch.float16}
"""The precisions that stand for a network in single precision under autocast, with its lower precision."""


def widths_of(precision: str) -> Widths:
    """The widths of a precision; UnknownNameError where there is none of that name.

    >>> widths_of("fp16")
    Widths(activation=2, weight=2)
    """
    if precision not in WIDTHS:
        raise UnknownNameError("precision", precision, WIDTHS)
    return WIDTHS[precision]
