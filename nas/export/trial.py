"""Takes the trained network of a trial away in a format that runs without nas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ExportError, NasError
from nas.export.exporter import ExportReport, ExportRequest
from nas.export.weights import trial_weights
from nas.files import check_writable

if TYPE_CHECKING:
    import torch

    from nas.plugins import Registry
    from nas.spaces.architecture import Network
    from nas.store import Store, TrialRecord
    from nas.training.task import TaskData


def export_trial(
    store: Store,
    study: str,
    number: int,
    format: str,
    path: Path,
    registry: Registry,
    *,
    artifacts_root: Path | None = None,
) -> ExportReport:
    """Writes the trained network of a trial, in its deployed form, to `path`, and checks it against torch.

    The network is that which was trained: input and classes of the study's data, early strides relaxed as
    then. `artifacts_root` is the folder of the study's files where it is not the default one. Raises
    UnknownNameError for a format nobody offers and ExportError where there are no weights or the format does
    not agree with torch.
    """
    from nas.search.study import StudySpec
    from nas.training.open import open_task

    path = Path(path)
    registry.exporters[format]
    check_writable(path)
    trial = store.trial(study, number)
    if trial.architecture.network is None:
        raise ExportError(f"trial {study}#{number} is a point of a flat space: there is no network to export")
    spec = StudySpec.from_json(store.study(study).spec)
    weights = trial_weights(store, trial, artifacts_root)
    data = open_task(spec.data, registry)
    module = _trained(trial, data, registry, weights, spec.minimum_map)
    preparation = _preparation(data)
    network, shape = trial.architecture.network, data.input.shape
    report = export_module(module, network, shape, format, path, registry, preparation=preparation)
    return replace(report, notes=(f"input: {preparation}", *report.notes))


def export_module(
    module: torch.nn.Module,
    network: Network,
    shape: tuple[int, ...],
    format: str,
    path: Path,
    registry: Registry,
    *,
    preparation: str = "",
) -> ExportReport:
    """Fuses a trained module whose input is (N, *shape), writes it in a format and checks the file."""
    import torch

    from nas.blocks import fuse

    exporter = registry.exporters[format]
    check_writable(path)
    deployed = fuse(module.cpu()).eval().requires_grad_(False)
    example = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0))
    try:
        return exporter.run(ExportRequest(network, deployed, example, path, preparation))
    except (NasError, KeyboardInterrupt):
        raise
    except Exception as error:  # an exporter may come from a plugin
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ExportError(
            f"export format {format!r} failed: {type(error).__name__}: {reason[:300]}"
        ) from error


def _trained(
    trial: TrialRecord, data: TaskData, registry: Registry, weights: Path, minimum_map: int
) -> torch.nn.Module:
    from nas.training.build import trained_module

    network = trial.architecture.network
    assert network is not None
    return trained_module(network, data.input, data.classes, registry.blocks, weights, minimum_map)


def _preparation(data: TaskData) -> str:
    """How a picture of the data becomes an input: what the weights cannot say themselves."""
    shape = ", ".join(map(str, data.input.shape))
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (data.mean, data.std))
    scale = "" if data.train_inputs.is_floating_point() else " bytes / 255,"
    return f"float32 (N, {shape}),{scale} minus mean ({mean}), divided by std ({std})"
