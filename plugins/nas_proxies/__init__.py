"""Zero-cost proxies: scores of untrained networks, without importing torch."""

from __future__ import annotations

from nas.plugins.hookspecs import hookimpl
from nas.training.proxy import Proxy


@hookimpl
def nas_proxies() -> list[Proxy]:
    """The published proxies, and the two trivial ones that they must beat."""
    return [*_by_gradient(), *_by_activation(), *_by_size()]


def _by_gradient() -> list[Proxy]:
    return [
        Proxy(
            "synflow",
            "nas_proxies.synflow:synflow",
            "log of the synaptic flow: what passes through the weights, whatever the data",
            "arXiv:2006.05467",
        ),
        Proxy(
            "grad_norm",
            "nas_proxies.grad_norm:grad_norm",
            "norm of the gradient of the loss on one batch",
            "arXiv:2101.08134",
        ),
        Proxy(
            "jacob_cov",
            "nas_proxies.jacob_cov:jacob_cov",
            "how little the responses to different inputs are correlated",
            "arXiv:2006.04647v1",
        ),
        Proxy(
            "ntk_condition",
            "nas_proxies.ntk_condition:ntk_condition",
            "log of the condition number of the pseudo neural tangent kernel",
            "arXiv:2206.12543",
            higher_is_better=False,
        ),
    ]


def _by_activation() -> list[Proxy]:
    return [
        Proxy(
            "naswot",
            "nas_proxies.naswot:naswot",
            "how many different activation patterns a batch meets",
            "arXiv:2006.04647v3",
            needs_gradient=False,
        ),
        Proxy(
            "zen",
            "nas_proxies.zen:zen",
            "log of how far a small change of the input moves the last map, norms counted in",
            "arXiv:2102.01063",
            needs_gradient=False,
        ),
    ]


def _by_size() -> list[Proxy]:
    return [
        Proxy("params", "nas_proxies.size:params", "number of parameters, a baseline", needs_gradient=False),
        Proxy(
            "macs",
            "nas_proxies.size:macs",
            "multiply-adds of the deployed form, a baseline",
            needs_gradient=False,
        ),
    ]
