"""What an operator of another library takes, as a plugin describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from nas.costs.call import Call

    Count: TypeAlias = Callable[[Call], int] | str
    Moved: TypeAlias = Callable[[Call], tuple[int, int]] | str
    Dimensions: TypeAlias = Callable[[Call], Mapping[str, int]] | str


@dataclass(frozen=True)
class OperatorRule:
    """The work of one operator that a library adds to torch, from the shapes of its arguments.

    `name` is ``library::operator``, the library itself need not be there; `kind` is one of the kinds of
    operators, which says how a target runs it. Each of the others is a function of the `Call`, or its
    ``"module:function"``: `macs`, the multiply-adds; `flops`, all arithmetic, by default 2 per multiply-add;
    `bytes`, what it reads and writes in the precision of its tensors, by default each of them once; `dims`,
    the named dimensions that its kind has.
    """

    name: str
    kind: str
    macs: Count | None = None
    flops: Count | None = None
    bytes: Moved | None = None
    dims: Dimensions | None = None
