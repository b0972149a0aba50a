"""What language models know of items: a card for each, written once, checked, and joined to the catalogue."""
