"""Texts and vectors for everybody: shards, executors, versions, gates, and what it will cost."""
