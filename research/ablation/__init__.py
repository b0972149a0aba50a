"""Ablations of the loop, and checks on it."""
