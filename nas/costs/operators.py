"""What a module executes: its operators, and what they take in numbers that need no device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.costs.liveness import Allocation

KINDS = (
    "conv",
    "conv_depthwise",
    "conv_grouped",
    "gemm",
    "bmm",
    "sdpa",
    "rnn",
    "sparse",
    "norm",
    "pointwise",
    "reduce",
    "softmax",
    "pool",
    "copy",
    "gather",
    "fft",
    "resample",
    "sort",
    "custom",
)


@dataclass(frozen=True, slots=True)
class Operator:
    """One executed operator of a module, for the traced batch and precision.

    `name` is the operator's own (``convolution``; with its namespace outside of aten), `kind` one of KINDS,
    `module` the path of the module that ran it. `macs` counts the multiply-adds of matrix work (convolutions,
    matrix products, attention, recurrent layers, half the arithmetic of a Fourier transform), `flops` all
    arithmetic, 2 per multiply-add. `bytes_read` is everything it reads, of which `weight_bytes` are weights.
    `sources` says who made what it reads: (index of the operator, or -1 for the input; bytes). `dims` are the
    named dimensions of its kind. `known` is False where no rule describes the operator. `scratch_bytes` is
    memory that torch takes while it runs: for a copy of an input that lies in another order, or for what it
    makes in between.
    `elements` are those of the largest tensor, `width` the bytes of a number of the first, `order` says how
    the tensors lie in memory (`nas.costs.memory_order`).
    """

    name: str
    kind: str
    module: str
    macs: int
    flops: int
    bytes_read: int
    bytes_written: int
    weight_bytes: int
    sources: tuple[tuple[int, int], ...] = ()
    dims: tuple[tuple[str, int], ...] = ()
    known: bool = True
    scratch_bytes: int = 0
    elements: int = 0
    width: int = 0
    order: str = "alike"

    @property
    def bytes_moved(self) -> int:
        """Everything it reads and writes."""
        return self.bytes_read + self.bytes_written

    def dim(self, name: str) -> int | None:
        """A dimension by name (``batch``, ``in_channels``, ``queries``, ...); None where the kind has none
        such."""
        return dict(self.dims).get(name)


@dataclass(frozen=True)
class Trace:
    """What a module executes for one batch of inputs.

    `params` counts its parameters, shared ones once; `weight_bytes` takes buffers in, and what autocast keeps
    of them in lower precision. `activation_bytes` is all that operators allocate, `peak_activation_bytes` the
    most that is alive at one time: a tensor lives, with all its views, from the operator that makes it to the
    last that reads it. `allocations` says of each piece of memory when it is there. `is_lower` says of a
    layer whether its output leaves it in the lower precision of autocast, `is_innermost` whether with the
    channels innermost. `output` is the operator whose whole output it returns, -1 where that is its input,
    None where it returns something else; `input_kind` the kind of the operator whose whole output its input
    is, where another layer runs in front.
    """

    operators: tuple[Operator, ...]
    params: int
    weight_bytes: int
    activation_bytes: int
    peak_activation_bytes: int
    batch_size: int = 1
    precision: str = "fp32"
    allocations: tuple[Allocation, ...] = ()
    is_lower: bool = False
    is_innermost: bool = False
    output: int | None = None
    input_kind: str = ""

    @property
    def output_kind(self) -> str:
        """The kind of the operator whose whole output it returns, empty where there is none."""
        if self.output is None:
            return ""
        return self.operators[self.output].kind if self.output >= 0 else self.input_kind

    @property
    def input_bytes(self) -> int:
        """The bytes of its (first) input, 0 where nothing says when memory is there."""
        return self.allocations[0].size if self.allocations else 0

    def holding(self, size: int) -> Trace:
        """The same where so many bytes more are there until the end: whoever runs it has names for them."""
        if not (size and self.allocations):
            return self
        held = Allocation(size, first=0, last=-1, released=max(len(self.operators), 1))
        return replace(self, allocations=(*self.allocations, held))

    @property
    def macs(self) -> int:
        """Multiply-adds for one sample, the field's "MACs"."""
        return round(sum(operator.macs for operator in self.operators) / self.batch_size)

    @property
    def flops(self) -> int:
        """Arithmetic operations for one sample, 2 per multiply-add."""
        return round(sum(operator.flops for operator in self.operators) / self.batch_size)

    @property
    def bytes_moved(self) -> int:
        """What all operators read and write, one by one, for the batch."""
        return sum(operator.bytes_moved for operator in self.operators)

    @property
    def peak_memory_bytes(self) -> int:
        """Weights and the most activations alive at one time."""
        return self.weight_bytes + self.peak_activation_bytes

    @property
    def unknown_operators(self) -> tuple[str, ...]:
        """The names of operators that no rule describes, each once."""
        return tuple(dict.fromkeys(operator.name for operator in self.operators if not operator.known))


def join_traces(traces: Sequence[tuple[str, Trace]]) -> Trace:
    """The trace of parts that run one behind the other, each with its path.

    Everything adds up, and the peak is that of the part with the highest. The input of a part is made by the
    operator whose output the one before it returns.
    """
    operators: list[Operator] = []
    allocations: list[Allocation] = []
    output: int | None = -1
    for path, trace in traces:
        offset = len(operators)
        maker = -1 if output is None else output
        operators.extend(_moved(operator, path, offset, maker) for operator in trace.operators)
        if trace.operators:
            allocations.extend(allocation.moved(offset) for allocation in trace.allocations)
        if trace.output is None or trace.output >= 0:
            output = None if trace.output is None else trace.output + offset
    parts = [trace for _, trace in traces]
    return replace(
        parts[0],
        operators=tuple(operators),
        params=sum(part.params for part in parts),
        weight_bytes=sum(part.weight_bytes for part in parts),
        activation_bytes=sum(part.activation_bytes for part in parts),
        peak_activation_bytes=max(part.peak_activation_bytes for part in parts),
        allocations=tuple(allocations),
        is_lower=parts[-1].is_lower,
        is_innermost=parts[-1].is_innermost,
        output=output,
    )


def _moved(operator: Operator, path: str, offset: int, maker: int) -> Operator:
    """An operator of a part with this path, behind so many operators; its input is made by `maker`."""
    sources = tuple((maker if index < 0 else index + offset, size) for index, size in operator.sources)
    return replace(operator, module=".".join(filter(None, (path, operator.module))), sources=sources)
