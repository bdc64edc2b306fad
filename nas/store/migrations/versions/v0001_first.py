"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Builds the seven tables."""
    _studies()
    _trials()
    _metrics_and_costs()
    _artifacts_and_plugins()


def _studies() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("name", name="uq_study_name"),
    )
    op.create_table(
        "architecture",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_architecture"),
    )


def _trials() -> None:
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("architecture_hash", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text()),
        sa.Column("fidelity", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("started", sa.Text()),
        sa.Column("finished", sa.Text()),
        sa.Column("seconds", sa.Double()),
        sa.Column("error", sa.Text()),
        sa.Column("traceback", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_trial"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_trial_study_id"),
        sa.ForeignKeyConstraint(
            ["architecture_hash"], ["architecture.hash"], name="fk_trial_architecture_hash"
        ),
        sa.UniqueConstraint("study_id", "number", name="uq_trial_study_id_number"),
        sa.UniqueConstraint(
            "study_id",
            "architecture_hash",
            "fidelity",
            "seed",
            name="uq_trial_study_id_architecture_hash_fidelity_seed",
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'finished', 'stopped', 'failed', 'infeasible')",
            name=op.f("ck_trial_state"),
        ),
    )
    columns = ["study_id", "state", "number", "last_step"]
    op.create_index("ix_trial_study_id_state_number_last_step", "trial", columns)


def _metrics_and_costs() -> None:
    op.create_table(
        "metric",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "step", "name", name="pk_metric"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name="fk_metric_trial_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cost",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("architecture_hash", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("low_ms", sa.Double(), nullable=False),
        sa.Column("high_ms", sa.Double(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("energy_mj", sa.Double(), nullable=False),
        sa.Column("params", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=False),
        sa.Column("bytes_moved", sa.BigInteger(), nullable=False),
        sa.Column("activation_bytes", sa.BigInteger(), nullable=False),
        sa.Column("unknown_operators", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "architecture_hash", "target", "kind", name="pk_cost"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_cost_study_id"),
        sa.ForeignKeyConstraint(
            ["architecture_hash"], ["architecture.hash"], name="fk_cost_architecture_hash"
        ),
        sqlite_with_rowid=False,
    )


def _artifacts_and_plugins() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifact"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name="fk_artifact_trial_id"),
        sa.UniqueConstraint("trial_id", "kind", "path", name="uq_artifact_trial_id_kind_path"),
    )
    op.create_table(
        "plugin",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("distribution", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("hooks", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "distribution", "version", "name", name="pk_plugin"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_plugin_study_id"),
        sqlite_with_rowid=False,
    )
