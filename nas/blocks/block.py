"""A building block as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas._lazy import resolve
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature

ROLES = ("stem", "block", "mixer", "ffn", "norm", "downsample", "pool", "head", "operation", "merge", "neck")


@dataclass(frozen=True)
class Block:
    """A building block: its name, its role, its knobs and how to build it.

    `build` is called as ``build(signature, width=..., stride=..., **knobs)`` for the roles that may change
    width and resolution (stem, block, downsample, operation), as ``build(signature, **knobs)`` for those
    that keep it (mixer, ffn, norm), and as ``build(signature, classes=..., **knobs)`` for a head. It may be
    given as ``"package.module:Class"``, which puts off the import of torch until a module is built.
    `valid(signature, width, stride, **knobs)` says which knob values fit a signature. `output` overrides
    the rule for the signature that leaves the block (default: `width` channels, sizes divided by `stride`
    and rounded up). `inside` says what signature the blocks that its knobs hold are given, called alike,
    where that is not the one that leaves the block; their own rules are then asked about it. `params` and
    `macs`, where a block declares them, are hand formulas called as
    ``params(signature, width, stride, **knobs)``: the parameters of the training form, and the
    multiply-accumulates of convolutions, linear layers and matrix products in the deployed form for one
    sample; the conformance kit holds them against the module. `exportable` False says that ONNX or
    `torch.export` cannot carry the deployed form. `source` names the paper.
    """

    name: str
    role: str
    domain: str
    build: Callable[..., Any] | str
    knobs: Mapping[str, Choice] = field(default_factory=dict)
    valid: Callable[..., bool] | None = None
    output: Callable[..., Signature] | None = None
    inside: Callable[..., Signature] | None = None
    params: Callable[..., int] | None = None
    macs: Callable[..., int] | None = None
    source: str = ""
    description: str = ""
    exportable: bool = True

    def builder(self) -> Callable[..., Any]:
        """The callable that builds the module; imports it where it was given by name."""
        return resolve(self.build) if isinstance(self.build, str) else self.build

    def accepts(self, signature: Signature, width: int | None, stride: int, knobs: Mapping[str, Any]) -> bool:
        """Whether these knob values fit this signature."""
        return self.valid is None or bool(self.valid(signature, width, stride, **knobs))

    def output_signature(
        self, signature: Signature, width: int | None, stride: int, knobs: Mapping[str, Any]
    ) -> Signature:
        """The signature that leaves the block."""
        if self.output is not None:
            return self.output(signature, width, stride, **knobs)
        return signature.after(width, stride)

    def inside_signature(
        self, signature: Signature, width: int | None, stride: int, knobs: Mapping[str, Any]
    ) -> Signature:
        """The signature that the blocks which its knobs hold are given."""
        if self.inside is not None:
            return self.inside(signature, width, stride, **knobs)
        return self.output_signature(signature, width, stride, knobs)
