"""Times the operators of a module one by one while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nas.costs.measuring.latency import Ready
from nas.costs.plans import plan_of
from nas.costs.recorder import Recorder, is_flat
from nas.costs.trace import undisturbed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.call import Work
    from nas.costs.measuring.clocks import Clock
    from nas.costs.operators import Trace
    from nas.costs.plans import Plan


class TimedOperators:
    """The operators of a module that runs eagerly on the processor: its trace, and what each of them takes.

    The module itself is not kept. It must be used under `torch.inference_mode`, as a trace is taken.
    """

    def __init__(self, run: Ready, batch: int, precision: str) -> None:
        assert isinstance(run.module, torch.nn.Module)
        recorder = _Counting(run.module, batch, precision)
        with undisturbed():
            self.trace: Trace = recorder.run(run.inputs)
        self._calls = recorder.calls
        self._numbers = np.array(recorder.recorded, dtype=np.intp)

    def milliseconds(self, run: Ready, clock: Clock) -> NDArray[np.float64]:
        """What each operator of the trace takes in one run, of shape (operators,); `run` is the module, or
        another that is made as it was."""
        with undisturbed(), _OperatorClock(clock) as watch:
            run()
        if len(watch.seconds) != self._calls:
            raise RuntimeError(f"{len(watch.seconds)} calls of operators, where the trace has {self._calls}")
        found: NDArray[np.float64] = 1e3 * np.array(watch.seconds)[self._numbers]
        return found


class _Counting(Recorder):
    """A recorder that numbers the calls of operators: `recorded` are the numbers of those in its trace."""

    def __init__(self, module: torch.nn.Module, batch: int, precision: str) -> None:
        super().__init__(module, torch.device("cpu"), batch, precision)
        self.calls = 0
        self.recorded: list[int] = []

    def _execute(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls += 1
        return super()._execute(plan, args, kwargs)

    def _record(
        self, plan: Plan, work: Work, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        super()._record(plan, work, inputs, outputs)
        self.recorded.append(self.calls - 1)


class _OperatorClock(TorchDispatchMode):
    """Times each call of an operator that a recorder would see."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._clock = clock
        self.seconds: list[float] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator and keeps what it took, or takes it apart as a recorder does."""
        plan, named = plan_of(func), dict(kwargs or {})
        if plan.is_composite or (plan.is_linear and not is_flat(args[0])):
            with self:
                return plan.operator._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **named)
        returned: list[Any] = []
        self.seconds.append(self._clock.seconds(lambda: returned.append(plan.operator(*args, **named)), 1))
        return returned[0]
