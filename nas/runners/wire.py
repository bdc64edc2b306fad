"""What travels from the driver to a worker: an evaluator once, and a short text for each trial."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ray import cloudpickle

from nas.errors import UsageError
from nas.search.contracts import Evaluator
from nas.search.trial import TrialRequest
from nas.spaces.architecture import Architecture


def encode_request(request: TrialRequest) -> str:
    """JSON that `decode_request` reads on the worker."""
    content = {
        "number": request.number,
        "architecture": request.architecture.to_json(),
        "fidelity": request.fidelity,
        "seed": request.seed,
        "attempt": request.attempt,
        "directory": request.directory,
    }
    return json.dumps(content)


def decode_request(text: str) -> TrialRequest:
    """The request that `encode_request` wrote."""
    content = json.loads(text)
    content["architecture"] = Architecture.from_json(content["architecture"])
    return TrialRequest(**content)


def encode_evaluator(evaluate: Evaluator) -> bytes:
    """The pickled evaluator, the working folder and those its modules come from.

    Raises UsageError where the evaluator cannot be pickled.
    """
    folders = [str(Path(entry).resolve()) for entry in sys.path]
    try:
        pickled = cloudpickle.dumps(evaluate)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UsageError(
            f"the evaluator cannot be sent to Ray's workers ({type(error).__name__}: {error}). "
            "Make it picklable, or run with one worker."
        ) from None
    return bytes(cloudpickle.dumps((str(Path.cwd()), folders, pickled)))  # type: ignore[no-untyped-call]


def decode_evaluator(content: bytes) -> Evaluator:
    """The evaluator, in the driver's working folder, its modules found where the driver found them.

    Folders that this machine has not are left out; what was on the search path here goes first.
    """
    here, folders, pickled = cloudpickle.loads(content)
    if Path(here).is_dir():
        os.chdir(here)
    sys.path.extend(folder for folder in folders if folder not in sys.path and Path(folder).exists())
    evaluate: Evaluator = cloudpickle.loads(pickled)
    return evaluate
