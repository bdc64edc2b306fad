"""Studies: what a user asks for, checked, and wired from all the rooms into a run."""

from nas.studies.file import read_study_file
from nas.studies.options import SearchOptions, check_options
from nas.studies.session import Session, baseline_session, create_session, open_session

__all__ = [
    "SearchOptions",
    "Session",
    "baseline_session",
    "check_options",
    "create_session",
    "open_session",
    "read_study_file",
]
