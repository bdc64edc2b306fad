"""The schema's history; alembic runs it from inside the package, without an ini file."""
