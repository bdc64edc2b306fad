"""Draws the picture of the README: python docs/front.py STORE STUDY > docs/front.svg"""

from __future__ import annotations

import sys

from nas.report.describe import describe
from nas.report.scatter import AxisTitle, FrontPoint, front_svg
from nas.report.units import quantity
from nas.search.study import StudySpec
from nas.search.trial import TrialState
from nas.store import Store
from nas.studies.front import study_front


def main(url: str, study: str) -> None:
    """Writes the front of accuracy against latency of a stored study to standard output."""
    with Store.open(url, create=False, read_only=True) as store:
        spec = StudySpec.from_json(store.study(study).spec)
        front = {trial.number for trial in study_front(store, spec)}
        trials = store.trials(study, states=[TrialState.FINISHED])
    points = [
        FrontPoint(
            trial.metrics["latency"],
            100 * trial.metrics["accuracy"],
            f"#{trial.number}",
            (describe(trial.architecture),),
            is_front=trial.number in front,
        )
        for trial in trials
    ]
    latency, accuracy = AxisTitle(quantity("latency"), "min"), AxisTitle(quantity("accuracy"), "max")
    sys.stdout.write(front_svg(points, latency, accuracy, title=f"Pareto front of {spec.name}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
