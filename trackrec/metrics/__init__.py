"""Metrics of probabilities and of lists, with intervals over users."""
