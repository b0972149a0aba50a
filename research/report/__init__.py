"""Pages and tables of the studies."""
