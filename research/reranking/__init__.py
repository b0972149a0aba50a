"""Re-rankers and their comparison."""
