"""``nas search``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import (
    confidence_option,
    parse_recipe,
    parse_workers,
    run_options,
    store_option,
    target_options,
)
from nas.costs.cost import DEFAULT_MODEL

if TYPE_CHECKING:
    from nas.studies import SearchOptions


@click.command("search")
@click.argument("study_file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--space", default="mobile", show_default=True, help="Name of a space, or path of a space file."
)
@click.option("--target", "targets", multiple=True, help="Target name or file; repeatable. [default: a100]")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    help="digits, cifar10:PATH, cifar100:PATH, folder:PATH, npz:PATH or hf:NAME.",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="Metric or cost, e.g. accuracy, latency, min:loss; repeatable. [default: accuracy, latency]",
)
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    help="Limit such as 'latency<=2ms' or 'params<=5M'; repeatable.",
)
@confidence_option
@click.option(
    "--searcher",
    default="pareto",
    show_default=True,
    help="Who proposes: pareto, evolution, local, random, optuna-nsga2, optuna-tpe, optuna-gp.",
)
@click.option(
    "--baseline",
    default="",
    metavar="SEARCHER",
    help="Give this searcher the same budget, and say whether the search beats it, e.g. random.",
)
@click.option("--cost-model", default=DEFAULT_MODEL, show_default=True, help="Who predicts the costs.")
@click.option("--trials", type=int, default=24, show_default=True, help="Networks to train.")
@click.option("--epochs", type=int, default=5, show_default=True, help="Epochs each network is trained.")
@click.option(
    "--rungs",
    type=int,
    default=1,
    show_default=True,
    help="Trials pause so often on the way, the end included; only the best third goes on.",
)
@click.option(
    "--stop-below",
    type=float,
    default=0.0,
    metavar="P",
    help="Stop a trial whose chance to join the front falls below P, e.g. 0.05. [default: never]",
)
@click.option(
    "--repeats",
    type=int,
    default=1,
    show_default=True,
    help="Train the best networks up to so often, each time with another seed, for their error bars.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the suggestions repeatable.")
@click.option("--study", help="Name of the study. [default: made from space and target]")
@click.option(
    "--from",
    "warm_start",
    multiple=True,
    metavar="STUDY",
    help="Begin with the results of this earlier study of the store; repeatable.",
)
@click.option(
    "--recipe", multiple=True, metavar="NAME=VALUE", help="A value of the training recipe; repeatable."
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="NAME",
    help="Zero-cost proxy that the search may follow as far as it proves right; repeatable.",
)
@click.option(
    "--force", is_flag=True, help="Search even where no network seen beforehand keeps the constraints."
)
@target_options
@run_options
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the front as one JSON object at the end.")
@click.pass_context
def command(
    context: click.Context, /, study_file: Path | None, recipe: tuple[str, ...], **given: Any
) -> None:
    """Search a space for networks that are accurate and cheap on a target.

    STUDY_FILE is a TOML file that holds these options (see studies/); options given beside it win.

    \b
    nas search --space mobile --target a100
    nas search --space mobile --target pixel6 --constraint 'latency<=5ms'
    """
    from nas.cli.running import RunOptions, run_session
    from nas.plugins import default_registry
    from nas.studies import check_options, create_session

    workers = parse_workers(given.pop("workers"))
    run = RunOptions(
        workers,
        given.pop("ray_address"),
        given.pop("cpus_per_trial"),
        given.pop("gpus_per_trial"),
        given.pop("as_json"),
    )
    store, artifacts, force = given.pop("store"), given.pop("artifacts"), given.pop("force")
    options = _options(context, study_file, {**given, "recipe": parse_recipe(recipe)})
    registry = default_registry()
    spec, space = check_options(options, registry)
    session = create_session(
        spec, space, store, registry, artifacts, named=options.study is not None, force=force
    )
    run_session(session, run)


def _options(context: click.Context, study_file: Path | None, given: dict[str, Any]) -> SearchOptions:
    """The options of the command line, laid over those of the study file where one is given."""
    from dataclasses import replace

    from nas.studies import SearchOptions, read_study_file

    given["targets"] = given["targets"] or ("a100",)
    if study_file is None:
        return SearchOptions(**given)
    written = {
        key: value
        for key, value in given.items()
        if context.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE
    }
    return replace(read_study_file(study_file), **written)
