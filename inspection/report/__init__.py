"""A run as one HTML file that needs no network: numbers, charts, and pairs to read."""
