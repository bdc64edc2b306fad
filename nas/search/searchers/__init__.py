"""The searchers that come with nas; `nas.search.builtin` offers them by name."""
