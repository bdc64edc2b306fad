"""Runs a session under the eyes of a user: progress, Ctrl-C, and what to do next."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.output import print_json, trial_json

if TYPE_CHECKING:
    from nas.studies import Session


@dataclass(frozen=True)
class RunOptions:
    """Where and how trials run; nothing here changes a result."""

    workers: int | str
    ray_address: str | None
    cpus_per_trial: float
    gpus_per_trial: float
    as_json: bool


def run_session(session: Session, options: RunOptions) -> None:
    """Runs the session to its end, shows the front and the next commands; Ctrl-C leaves it resumable."""
    from nas.cli.progress import make_progress
    from nas.runners import make_runner

    runner = make_runner(
        options.workers,
        address=options.ray_address,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=options.gpus_per_trial,
    )
    progress = make_progress(session.spec, slots=runner.slots, quiet=options.as_json)
    try:
        with progress:
            loop = session.run(runner, progress.hear)
        _finish(session, options, loop.message)
    except KeyboardInterrupt:
        click.echo(
            f"\nstopped; every finished trial is kept. Go on with: {_command('resume', session)}", err=True
        )
        sys.exit(130)
    finally:
        session.store.close()


def _finish(session: Session, options: RunOptions, message: str | None) -> None:
    from nas.cli.front import print_front
    from nas.studies.front import study_front, target_names

    spec = session.spec
    front = study_front(session.store, spec)
    if options.as_json:
        objectives = {o.name: o.direction for o in spec.objectives}
        trials = [trial_json(trial, target_names(spec)) for trial in front]
        print_json({"study": spec.name, "objectives": objectives, "front": trials})
    elif front:
        click.echo()
        print_front(spec, front)
        _next_steps(session, front[-1].number)
    if message and not options.as_json:
        click.echo(message)
    if not front:
        click.echo(f"error: no trial finished; '{_command('show', session)}' tells why", err=True)
        sys.exit(1)


def _next_steps(session: Session, number: int) -> None:
    best = f"'{session.spec.name}#{number}'"
    lines = [
        f"Stored in {session.store.display_url}; weights in {session.artifacts}",
        "Next:",
        f"  {_command('report', session)} -o report.html",
        f"  {_command('show', session, best)}",
        f"  {_command('export', session, best)} --format onnx",
        f"  {_command('resume', session)} --trials {2 * session.spec.trials}",
    ]
    click.echo("\n".join(lines))


def _command(name: str, session: Session, what: str | None = None) -> str:
    """A command line that works on the store of the running study."""
    from nas.cli.options import DEFAULT_STORE
    from nas.plugins.files import plugin_files

    url = session.store.display_url
    store = "" if url in (DEFAULT_STORE, f"sqlite:///{DEFAULT_STORE}") else f" --store {url}"
    files = "".join(f" --plugin {shlex.quote(_shortest(path))}" for path in plugin_files())
    return f"nas {name} {what or session.spec.name}{store}{files}"


def _shortest(path: Path) -> str:
    """The path from here where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
