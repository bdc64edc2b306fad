"""First-party building blocks."""
