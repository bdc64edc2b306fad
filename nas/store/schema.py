"""The tables: flat, documented, readable by pandas, DuckDB and Datasette.

The migrations build them (a test holds both equal); `docs/store.md` lists the `doc` texts of all columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = "0003"
VERSION_TABLE = "nas_version"
APPLICATION_ID = int.from_bytes(b"nas1", "big")  # marks a SQLite file as ours
STATES = ("queued", "running", "finished", "stopped", "failed", "infeasible")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True, doc="Key of the study within this store."),
    Column("name", Text, nullable=False, doc="Name the user gave; unique in the store."),
    Column("spec", Text, nullable=False, doc="All settings of the study, as JSON."),
    Column("created", Text, nullable=False, doc="When the study was made, UTC, ISO 8601."),
    Column("version", Text, nullable=False, doc="Version of nas that made it."),
    UniqueConstraint("name"),
    info={"doc": "One row for each search."},
)

architecture = Table(
    "architecture",
    metadata,
    Column(
        "hash", Text, primary_key=True, doc="SHA-256 (hex) of the canonical resolved network: its identity."
    ),
    Column("content", Text, nullable=False, doc="The network and the choices that led to it, as JSON."),
    Column("created", Text, nullable=False, doc="When the store first met it, UTC, ISO 8601."),
    info={"doc": "One row for each distinct network; studies share them."},
)

trial = Table(
    "trial",
    metadata,
    Column("id", Integer, primary_key=True, doc="Key of the trial within this store."),
    Column("study_id", ForeignKey("study.id"), nullable=False, doc="The study it belongs to: study.id."),
    Column("number", Integer, nullable=False, doc="Its number within the study, from 0."),
    Column("state", Text, nullable=False, doc="queued, running, finished, stopped, failed or infeasible."),
    Column(
        "architecture_hash",
        ForeignKey("architecture.hash"),
        nullable=False,
        doc="What is evaluated: architecture.hash.",
    ),
    Column(
        "variant", Text, doc="JSON of the architecture where this study spells it in another way; else NULL."
    ),
    Column("fidelity", Integer, nullable=False, doc="Number of steps (epochs in training) asked for."),
    Column("seed", BigInteger, nullable=False, doc="Seed of the evaluation."),
    Column("attempt", Integer, nullable=False, doc="Counts from 1; grows when a lost trial is run again."),
    Column("last_step", Integer, nullable=False, doc="The last step recorded; 0 before the first one."),
    Column("host", Text, doc="Machine that runs or ran it; NULL before it started."),
    Column("created", Text, nullable=False, doc="When it was queued, UTC, ISO 8601."),
    Column("started", Text, doc="When its present attempt started, UTC, ISO 8601."),
    Column("finished", Text, doc="When it ended, in whatever state, UTC, ISO 8601."),
    Column(
        "seconds", Double, doc="How long the evaluation took, by the runner's monotonic clock, in seconds."
    ),
    Column("error", Text, doc="Why it failed or is infeasible, one line."),
    Column("traceback", Text, doc="The traceback of the failure; may be empty."),
    UniqueConstraint("study_id", "number"),
    UniqueConstraint("study_id", "architecture_hash", "fidelity", "seed"),
    CheckConstraint(f"state IN ({', '.join(map(repr, STATES))})", name="state"),
    # Covers the search for finished trials, so that 100,000 of them are read without touching the table.
    Index(None, "study_id", "state", "number", "last_step"),
    info={"doc": "One row for each evaluation of one architecture at one fidelity with one seed."},
)

metric = Table(
    "metric",
    metadata,
    Column("trial_id", ForeignKey("trial.id"), primary_key=True, doc="The trial that reported it: trial.id."),
    Column("step", Integer, primary_key=True, doc="From 1; 0 holds what was known before the evaluation."),
    Column("name", Text, primary_key=True, doc="Name of the metric or of the known objective."),
    Column("value", Double, nullable=False, doc="A finite number, in the unit its name implies."),
    info={"doc": "One row for each number a trial reported. The last step's numbers are its result."},
    sqlite_with_rowid=False,
)

cost = Table(
    "cost",
    metadata,
    Column(
        "study_id", ForeignKey("study.id"), primary_key=True, doc="The study that names the target: study.id."
    ),
    Column(
        "architecture_hash",
        ForeignKey("architecture.hash"),
        primary_key=True,
        doc="What the cost is of: architecture.hash.",
    ),
    Column("target", Text, primary_key=True, doc="The target, as the study names it."),
    Column("kind", Text, primary_key=True, doc="predicted or measured."),
    Column("tier", Text, nullable=False, doc="What the figure rests on; T0 is the datasheet alone."),
    Column("model", Text, nullable=False, doc="Cost model and the version of its numbers."),
    Column("latency_ms", Double, nullable=False, doc="Latency of one batch, in milliseconds."),
    Column(
        "low_ms", Double, nullable=False, doc="Lower end of the latency's 90 % interval, in milliseconds."
    ),
    Column(
        "high_ms", Double, nullable=False, doc="Upper end of the latency's 90 % interval, in milliseconds."
    ),
    Column(
        "peak_memory_bytes",
        BigInteger,
        nullable=False,
        doc="Peak memory, in bytes; 0 where a measurement did not find it.",
    ),
    Column(
        "energy_mj",
        Double,
        nullable=False,
        doc="Energy of one batch, in millijoules; 0 where a measurement did not find it.",
    ),
    Column("params", BigInteger, nullable=False, doc="Parameters of the deployed form."),
    Column("macs", BigInteger, nullable=False, doc="Multiply-adds for one sample."),
    Column("bytes_moved", BigInteger, nullable=False, doc="Bytes read and written by all operators."),
    Column("activation_bytes", BigInteger, nullable=False, doc="Bytes of all activations."),
    Column(
        "unknown_operators", Text, nullable=False, doc="Operators without a rule of their own, a JSON list."
    ),
    Column("created", Text, nullable=False, doc="When it was stored, UTC, ISO 8601."),
    info={"doc": "What an architecture takes on each target of a study."},
    sqlite_with_rowid=False,
)

proxy = Table(
    "proxy",
    metadata,
    # No foreign key: a search also scores networks that it then does not train.
    Column("architecture_hash", Text, primary_key=True, doc="What is scored, as in architecture.hash."),
    Column("name", Text, primary_key=True, doc="Name of the proxy."),
    Column("provider", Text, primary_key=True, doc="The package that provides it, with its version."),
    Column(
        "task",
        Text,
        primary_key=True,
        doc="What it was scored on: fingerprint of the data, and smallest map in training.",
    ),
    Column("value", Double, nullable=False, doc="A finite number; the proxy says which end is better."),
    Column("created", Text, nullable=False, doc="When it was stored, UTC, ISO 8601."),
    info={"doc": "One row for each score of an untrained network; studies share them."},
    sqlite_with_rowid=False,
)

trace = Table(
    "trace",
    metadata,
    Column(
        "key",
        Text,
        primary_key=True,
        doc="SHA-256 (hex) of the layer, its input, batch, precision, and the code that traced it.",
    ),
    Column(
        "content",
        LargeBinary,
        nullable=False,
        doc="Its operators, JSON compressed by zlib. May be deleted: it is only found anew.",
    ),
    Column("created", Text, nullable=False, doc="When it was stored, UTC, ISO 8601."),
    info={"doc": "One row for each layer that was traced, so that no search traces it again."},
)

artifact = Table(
    "artifact",
    metadata,
    Column("id", Integer, primary_key=True, doc="Key of the artifact within this store."),
    Column("trial_id", ForeignKey("trial.id"), nullable=False, doc="The trial that made it: trial.id."),
    Column("kind", Text, nullable=False, doc="What it is, such as weights."),
    Column("path", Text, nullable=False, doc="Where it lies, relative to the artifact folder of the study."),
    Column("sha256", Text, nullable=False, doc="SHA-256 (hex) of the file."),
    Column("size", BigInteger, nullable=False, doc="Size of the file, in bytes."),
    Column("created", Text, nullable=False, doc="When it was recorded, UTC, ISO 8601."),
    UniqueConstraint("trial_id", "kind", "path"),
    info={"doc": "One row for each file a trial left behind."},
)

plugin = Table(
    "plugin",
    metadata,
    Column(
        "study_id", ForeignKey("study.id"), primary_key=True, doc="The study it was installed for: study.id."
    ),
    Column("distribution", Text, primary_key=True, doc="The package that brings it."),
    Column("version", Text, primary_key=True, doc="Version of the package."),
    Column("name", Text, primary_key=True, doc="Name of the plugin, that of its entry point."),
    Column("module", Text, nullable=False, doc="The module that was loaded."),
    Column("hooks", Text, nullable=False, doc="The hooks it implements, a JSON list."),
    Column("error", Text, doc="Why it was skipped; NULL where it was loaded."),
    Column("created", Text, nullable=False, doc="When this version was first recorded, UTC, ISO 8601."),
    info={"doc": "What was installed when the study ran; a resume with another version adds a row."},
    sqlite_with_rowid=False,
)
