"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_STORE = "nas.db"

store_option = click.option(
    "--store",
    default=DEFAULT_STORE,
    envvar="NAS_STORE",
    show_default=True,
    metavar="URL",
    help="SQLite file or postgresql:// URL that holds the studies.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

input_option = click.option(
    "--input",
    "input_shape",
    default="3,224,224",
    show_default=True,
    help="Input shape of a module, without batch.",
)


def target_options(function: F) -> F:
    """The options that complete a target: precision, batch size, runtime and layout."""
    for option in (
        click.option("--layout", metavar="NAME", help="Order of the axes of an image: nchw or nhwc."),
        click.option(
            "--runtime", metavar="NAME", help="eager, compiled, onnxruntime, tflite, tensorrt or whole-model."
        ),
        click.option(
            "--batch-size", type=click.IntRange(min=1), help="Batch size the network is deployed with."
        ),
        click.option("--precision", metavar="NAME", help="fp32, tf32, fp16, bf16, amp-fp16 or int8."),
    ):
        function = option(function)
    return function


confidence_option = click.option(
    "--confidence",
    type=float,
    default=0.5,
    show_default=True,
    metavar="P",
    help="Probability with which a limit on a predicted latency is kept; 0.5 limits the median.",
)


def run_options(function: F) -> F:
    """The options that say where trials run; they never change a result."""
    for option in (
        click.option(
            "--artifacts", type=click.Path(file_okay=False), help="Folder for weights and checkpoints."
        ),
        click.option(
            "--gpus-per-trial",
            type=click.FloatRange(min=0),
            default=0.0,
            help="GPUs per trial, or a part of one.",
        ),
        click.option(
            "--cpus-per-trial",
            type=click.FloatRange(min=0.01),
            default=1.0,
            help="CPUs per trial, or a part of one.",
        ),
        click.option("--ray", "ray_address", metavar="ADDRESS", help="Run the trials on this Ray cluster."),
        click.option(
            "--workers", default="auto", show_default=True, help="Trials at a time: a number, or auto."
        ),
    ):
        function = option(function)
    return function


def parse_shape(text: str) -> tuple[int, ...]:
    """``3,224,224`` as the shape of an input without its batch."""
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise click.BadParameter(f"{text!r} is not of the form 3,224,224", param_hint="--input")
    return shape


def parse_workers(text: str) -> int | str:
    """``auto`` or a positive number; anything else is a usage error."""
    if text == "auto":
        return text
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise click.BadParameter(f"{text!r} is neither 'auto' nor a positive number", param_hint="--workers")
    return number


def parse_recipe(items: tuple[str, ...]) -> dict[str, Any]:
    """``--recipe learning_rate=0.1`` pairs; values are read as TOML where they are TOML, else as text."""
    import tomllib

    values: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} is not of the form NAME=VALUE", param_hint="--recipe")
        try:
            values[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            values[key] = value
    return values


def split_trial(reference: str) -> tuple[str, int | None]:
    """``STUDY`` or ``STUDY#TRIAL``."""
    study, mark, number = reference.partition("#")
    if not mark:
        return study, None
    if not number.isdecimal():
        raise click.BadParameter(
            f"{reference!r}: a trial is written STUDY#NUMBER, e.g. {study or 'mobile-a100'}#3"
        )
    return study, int(number)
