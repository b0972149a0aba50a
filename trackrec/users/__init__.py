"""What is known of a user: the catalogue of items, and the one place where a history is counted."""
