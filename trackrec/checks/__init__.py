"""Is it true? Claims of a text against the history behind it."""
