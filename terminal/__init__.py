"""What commands say and how they end: exit codes, errors in a line, text that is only text."""
