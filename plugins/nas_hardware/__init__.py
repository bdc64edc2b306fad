"""First-party hardware targets and cost models."""
