"""One module for each schema version; a released one never changes."""
