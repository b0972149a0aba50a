"""From a log of interactions to histories, examples, roles, targets and item statistics."""
