"""Search spaces: from a TOML file to a `Space`, from a `Space` to architectures. No torch."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture, BlockUse, Edge, Graph, KnobValue, Layer, Network
    from nas.spaces.canonical import canonical_network
    from nas.spaces.decision import Decision, Instance, Slot
    from nas.spaces.fitting import element_signatures, output_signature
    from nas.spaces.isomorphism import isomorphism_class, simplified
    from nas.spaces.knobs import Choice
    from nas.spaces.read import load_space, parse_space
    from nas.spaces.signature import Signature
    from nas.spaces.source import SpaceSource
    from nas.spaces.space import Space

__all__ = [
    "Architecture",
    "BlockUse",
    "Choice",
    "Decision",
    "Edge",
    "Graph",
    "Instance",
    "KnobValue",
    "Layer",
    "Network",
    "Signature",
    "Slot",
    "Space",
    "SpaceSource",
    "canonical_network",
    "element_signatures",
    "isomorphism_class",
    "load_space",
    "output_signature",
    "parse_space",
    "simplified",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Architecture": "nas.spaces.architecture",
        "BlockUse": "nas.spaces.architecture",
        "Choice": "nas.spaces.knobs",
        "Decision": "nas.spaces.decision",
        "Edge": "nas.spaces.architecture",
        "Graph": "nas.spaces.architecture",
        "Instance": "nas.spaces.decision",
        "KnobValue": "nas.spaces.architecture",
        "Layer": "nas.spaces.architecture",
        "Network": "nas.spaces.architecture",
        "Signature": "nas.spaces.signature",
        "Slot": "nas.spaces.decision",
        "Space": "nas.spaces.space",
        "SpaceSource": "nas.spaces.source",
        "canonical_network": "nas.spaces.canonical",
        "element_signatures": "nas.spaces.fitting",
        "isomorphism_class": "nas.spaces.isomorphism",
        "load_space": "nas.spaces.read",
        "output_signature": "nas.spaces.fitting",
        "parse_space": "nas.spaces.read",
        "simplified": "nas.spaces.isomorphism",
    },
)
