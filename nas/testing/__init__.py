"""The conformance kit: what every plugin item promises, as tests that its author runs with a fixture.

A block, for instance, is held to its contract by::

    import pytest
    from nas.testing import BlockConformance

    class TestGatedDepthwise(BlockConformance):
        @pytest.fixture
        def block(self):
            return "gated_depthwise"

It needs pytest (``pip install 'nas[testing]'``); ``nas plugins check NAME`` runs the same tests.
"""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

try:
    import pytest
except ModuleNotFoundError:
    raise ModuleNotFoundError("nas.testing needs pytest: pip install 'nas[testing]'") from None

_KINDS = ("block", "cost_model", "proxy", "runner", "searcher", "space", "store", "target", "task")
_HELPERS = ("driving", "fresh", "modules", "store_studies", "store_trials", "store_values")
pytest.register_assert_rewrite(*(f"{__name__}.{kind}" for kind in (*_KINDS, *_HELPERS)))

if TYPE_CHECKING:
    from nas.testing.block import BlockConformance
    from nas.testing.cost_model import CostModelConformance
    from nas.testing.proxy import ProxyConformance
    from nas.testing.runner import RunnerConformance
    from nas.testing.searcher import SearcherConformance
    from nas.testing.space import SpaceConformance
    from nas.testing.store import StoreConformance
    from nas.testing.target import TargetConformance
    from nas.testing.task import TaskConformance

__all__ = [
    "BlockConformance",
    "CostModelConformance",
    "ProxyConformance",
    "RunnerConformance",
    "SearcherConformance",
    "SpaceConformance",
    "StoreConformance",
    "TargetConformance",
    "TaskConformance",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "BlockConformance": "nas.testing.block",
        "CostModelConformance": "nas.testing.cost_model",
        "ProxyConformance": "nas.testing.proxy",
        "RunnerConformance": "nas.testing.runner",
        "SearcherConformance": "nas.testing.searcher",
        "SpaceConformance": "nas.testing.space",
        "StoreConformance": "nas.testing.store",
        "TargetConformance": "nas.testing.target",
        "TaskConformance": "nas.testing.task",
    },
)
