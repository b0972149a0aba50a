"""Shared test suites: what every component of a kind must pass, for one's own components too."""
