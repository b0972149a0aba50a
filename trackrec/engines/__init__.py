"""Engines: what writes texts and scores answers, on this machine or behind an endpoint."""
