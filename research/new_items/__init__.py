"""The study of what knowledge is worth on items that nobody has seen."""
