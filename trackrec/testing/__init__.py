"""Test suites that every component of a kind passes; a stranger's component can be held against them too."""
