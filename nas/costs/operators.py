"""One executed operator, as the trace records it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Operator:
    """One executed operator of a module, for the traced batch.

    `name` is the operator's own (``convolution``), `kind` what a cost model keys on (``conv``,
    ``conv_depthwise``, ``conv_grouped``, ``gemm``, ``bmm``, ``sdpa``, ``norm``, ``pointwise``, ``reduce``,
    ``softmax``, ``pool``, ``copy``, ``gather``, ``fft``, ``resample``, ``rnn``, ``custom``). `module` is the path
    of the module that ran it. `macs` counts multiply-adds of matrix work, `flops` all arithmetic (2 per
    multiply-add). Element counts are turned into bytes by the precision of a target. `inputs` and `outputs`
    are ids of the activations it reads and writes. `known` is False where no rule describes the operator; `scope`
    limits what a runtime may fuse with it.
    """

    name: str
    kind: str
    module: str
    macs: int
    flops: int
    elements_read: int
    elements_written: int
    weight_elements: int
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()
    known: bool = True
    scope: str = ""

    @property
    def elements_moved(self) -> int:
        """Everything that crosses the memory bus: activations in and out, and weights."""
        return self.elements_read + self.elements_written + self.weight_elements


@dataclass(frozen=True)
class Trace:
    """What a module executes for one input.

    `params` counts its parameters once each, `peak_live_elements` is the largest number of activation elements
    alive at once, `activation_elements` all that operators write. `input_shape` is without the batch.
    """

    operators: tuple[Operator, ...]
    params: int
    buffer_elements: int
    peak_live_elements: int
    input_shape: tuple[int, ...]
    batch_size: int = 1
    notes: tuple[str, ...] = field(default=())

    @property
    def macs(self) -> int:
        """Multiply-adds of matrix work for one sample, the field's "MACs"."""
        return sum(operator.macs for operator in self.operators) // self.batch_size

    @property
    def activation_elements(self) -> int:
        """Elements written by all operators."""
        return sum(operator.elements_written for operator in self.operators)

    @property
    def unknown_operators(self) -> tuple[str, ...]:
        """The names of operators that no rule describes, each once."""
        return tuple(dict.fromkeys(op.name for op in self.operators if not op.known))
