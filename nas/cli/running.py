"""Runs a session under the eyes of a user: progress, Ctrl-C, and what to do next."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.output import print_json

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
    """Runs the session to its end, shows the front and the next commands; Ctrl-C leaves it resumable.

    Where the study has a baseline, that gets its trials too, and the comparison is shown.
    """
    from nas.studies import baseline_session

    try:
        baseline = baseline_session(session)
        message = _run(session, options)
        if baseline is not None:
            _run(baseline, options)
        _finish(session, options, message)
    except KeyboardInterrupt:
        click.echo(
            f"\nstopped; every finished trial is kept. Go on with: {_command('resume', session)}", err=True
        )
        sys.exit(130)
    finally:
        session.store.close()


def _run(session: Session, options: RunOptions) -> str | None:
    """Runs one study to its end; returns why it ended before its budget was spent."""
    from nas.cli.progress import make_progress
    from nas.runners import make_runner

    runner = make_runner(
        options.workers,
        address=options.ray_address,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=options.gpus_per_trial,
    )
    progress = make_progress(
        session.spec, slots=runner.slots, quiet=options.as_json, tiers=session.table.tiers
    )
    with progress:
        return session.run(runner, progress.hear).message


def _finish(session: Session, options: RunOptions, message: str | None) -> None:
    from nas.cli.compare import baseline_json, print_baseline
    from nas.cli.front import front_json, print_fronts
    from nas.cli.reused import print_reused, reused_json
    from nas.studies.front import study_front, target_fronts

    spec = session.spec
    front = study_front(session.store, spec)
    fronts = target_fronts(session.store, spec)
    reused = session.reused_front(front) if spec.warm_start else None
    if options.as_json:
        baseline = baseline_json(session.store, spec)
        print_json({**front_json(spec, front, fronts), **(reused_json(reused) if reused else {}), **baseline})
    elif front:
        click.echo()
        print_fronts(spec, front, fronts)
        if reused is not None:
            print_reused(reused)
        print_baseline(session.store, spec)
        _print_proxies(session)
        _next_steps(session, front[-1].number)
    if message and not options.as_json:
        click.echo(message)
    if not front:
        why = f"no trial finished; '{_command('show', session)}' tells why"
        was_begun = bool(session.store.trials(spec.name))
        click.echo(f"error: {why if was_begun or not message else message}", err=True)
        sys.exit(1)


def _print_proxies(session: Session) -> None:
    from nas.report.proxies import proxy_lines

    for line in proxy_lines(session.store, session.spec, session.registry):
        click.echo(f"proxy {line.name} {line.verdict}")


def _next_steps(session: Session, number: int) -> None:
    best = f"'{session.spec.name}#{number}'"
    is_trained = session.artifacts.is_dir()
    weights = f"; weights in {session.artifacts}" if is_trained else ""
    lines = [
        f"Stored in {session.store.display_url}{weights}",
        "Next:",
        f"  {_command('report', session)} -o report.html",
        f"  {_command('show', session, best)}",
        *([f"  {_command('export', session, best)} --format onnx"] if is_trained else []),
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
