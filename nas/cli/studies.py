"""``nas studies``: the studies of a store."""

from __future__ import annotations

from typing import Any

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import print_json, print_table


@click.command("studies")
@store_option
@json_option
def command(store: str, as_json: bool) -> None:
    """List the studies of a store with how far they are."""
    from nas.search.study import StudySpec
    from nas.store import Store

    items: list[dict[str, Any]] = []
    with Store.open(store, create=False, read_only=True) as opened:
        for record in opened.studies():
            spec = StudySpec.from_json(record.spec)
            items.append(
                {
                    "study": record.name,
                    "space": spec.space,
                    "targets": list(spec.targets),
                    "data": spec.data,
                    "searcher": spec.searcher,
                    "budget": spec.trials,
                    "created": record.created,
                    "states": opened.count_states(record.name),
                }
            )
    if as_json:
        print_json({"studies": items})
        return
    rows = [
        (
            item["study"],
            item["space"],
            ", ".join(item["targets"]),
            item["data"],
            f"{item['states'].get('finished', 0)} of {item['budget']}",
            ", ".join(f"{n} {state}" for state, n in item["states"].items() if state != "finished"),
            item["created"],
        )
        for item in items
    ]
    print_table(("study", "space", "targets", "data", ">finished", "other", "created"), rows)
