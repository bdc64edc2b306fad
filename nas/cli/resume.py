"""``nas resume``: go on with a study."""

from __future__ import annotations

from typing import Any

import click

from nas.cli.options import parse_workers, run_options, store_option


@click.command("resume")
@click.argument("study")
@click.option("--trials", type=click.IntRange(min=1), help="New total number of trials.")
@run_options
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the front as one JSON object at the end.")
def command(study: str, trials: int | None, workers: str, as_json: bool, store: str, **given: Any) -> None:
    """Go on with a study that was interrupted, or give it more trials.

    Finished trials stand; those in flight when it stopped go on from their last checkpoint.
    """
    from nas.cli.running import RunOptions, run_session
    from nas.plugins import default_registry
    from nas.studies import open_session

    run = RunOptions(
        parse_workers(workers),
        given["ray_address"],
        given["cpus_per_trial"],
        given["gpus_per_trial"],
        as_json,
    )
    session = open_session(study, store, default_registry(), given["artifacts"], trials=trials)
    run_session(session, run)
