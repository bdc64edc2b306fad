"""The store: studies, trials and results in SQLite or PostgreSQL. The only room that knows SQL."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

if TYPE_CHECKING:
    from nas.store.address import mask
    from nas.store.records import ArtifactRecord, StudyRecord, TrialRecord
    from nas.store.session import StudyClaim
    from nas.store.store import Store

__all__ = ["ArtifactRecord", "Store", "StudyClaim", "StudyRecord", "TrialRecord", "mask"]

__getattr__ = lazy_exports(
    __name__,
    {
        "ArtifactRecord": "nas.store.records",
        "Store": "nas.store.store",
        "StudyClaim": "nas.store.session",
        "StudyRecord": "nas.store.records",
        "TrialRecord": "nas.store.records",
        "mask": "nas.store.address",
    },
)
