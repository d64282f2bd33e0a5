"""Evolution: plain instructions become prompts with constraints (arXiv 2412.11605, appendix)."""
