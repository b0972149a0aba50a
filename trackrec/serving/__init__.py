"""The service: a person's text, vector and ranking over HTTP, and the page on which people see and correct them."""
