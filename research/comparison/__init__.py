"""The comparison of every arm in several rankers."""
