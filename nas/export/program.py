"""The network as a `torch.export` program: the one intermediate form of the export formats."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from nas.errors import ExportError
from nas.export.agreement import BATCHES, export_errors

_LOGGERS = ("torch", "torch.export", "torch.onnx", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Program:
    """An exported program, and the batch sizes it can be checked with."""

    exported: ExportedProgram
    batches: tuple[int, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about it."""
        fixed = "the batch size is fixed at 1: the network cannot be exported with any other"
        return () if len(self.batches) > 1 else (fixed,)


def export_program(module: nn.Module, example: Tensor) -> Program:
    """The program of a module in eval mode for any batch size, or for batch 1 where that cannot be.

    Raises ExportError where torch cannot export the module at all.
    """
    batch = torch.export.Dim("batch", min=1)
    with quiet(), torch.no_grad():
        try:
            example_batch = torch.cat([example, example])
            exported = torch.export.export(
                module, (example_batch,), dynamic_shapes=({0: batch},), strict=False
            )
            exported.module()(example)
            return Program(exported, BATCHES)
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception:  # the same batch in the graph is tried before giving up
            with export_errors("a torch.export program"):
                return Program(torch.export.export(module, (example,), strict=False), BATCHES[:1])


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the converters print, log and warn about away from the user's terminal."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def require_single_input(program: ExportedProgram) -> None:
    """Raises ExportError where the program takes more than one tensor or gives more than one."""
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise ExportError("only networks with one input and one output can be exported")
