"""Programs that a model writes to check answers: written, tried in the sandbox, and compared."""
