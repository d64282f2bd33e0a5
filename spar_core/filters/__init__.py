"""Filters: why a prompt should not be used. Each is a pure function of texts."""
