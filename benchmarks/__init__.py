"""Measurements behind the README's figures: `make bench`."""
