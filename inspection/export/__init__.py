"""A run's pairs and rft samples as datasets that other tools read."""
