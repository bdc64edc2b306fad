"""Where trials run: in this process, or on Ray Tune's workers on this machine or on a cluster."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

if TYPE_CHECKING:
    from nas.runners.choose import make_runner
    from nas.runners.inline import InlineRunner
    from nas.runners.ray import RayRunner

__all__ = ["InlineRunner", "RayRunner", "make_runner"]

__getattr__ = lazy_exports(
    __name__,
    {
        "InlineRunner": "nas.runners.inline",
        "RayRunner": "nas.runners.ray",
        "make_runner": "nas.runners.choose",
    },
)
