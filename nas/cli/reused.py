"""What a study reused of earlier ones, shown beside its own front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nas.cli.progress import value_text

if TYPE_CHECKING:
    from nas.search.trial import TrialResult
    from nas.studies.warm_start import ReusedFront

SHOWN = 8


def reused_json(reused: ReusedFront) -> dict[str, Any]:
    """The documented keys ``reused`` and ``beaten``."""
    trials = [
        {
            "study": result.source,
            "number": result.number,
            "architecture_hash": result.architecture.hash,
            "values": dict(result.values),
        }
        for result in reused.standing
    ]
    return {"reused": trials, "beaten": list(reused.beaten)}


def print_reused(reused: ReusedFront) -> None:
    """Which reused results stand on the front too, and which trials they beat."""
    if reused.standing:
        rest = len(reused.standing) - SHOWN
        click.echo("Reused results that no trial here beats:")
        click.echo("\n".join(f"  {_line(result)}" for result in reused.standing[:SHOWN]))
        if rest > 0:
            click.echo(f"  and {rest} more")
    if reused.beaten:
        click.echo(f"A reused result beats {', '.join(f'#{number}' for number in reused.beaten)}.")


def _line(result: TrialResult) -> str:
    shown = ", ".join(f"{name} {value_text(name, value)}" for name, value in result.values.items())
    return f"{result.source}#{result.number}: {shown}"
