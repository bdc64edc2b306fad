"""The packages here are examples: they are tested where they are installed, by test_outside.py."""

collect_ignore_glob = ["nas-*"]
