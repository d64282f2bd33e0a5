"""The page of a reproduction: what it measured, beside the paper's figures."""
