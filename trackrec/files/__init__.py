"""Files of a run: read by path, written whole or not at all, known by their content, locked while worked on."""
