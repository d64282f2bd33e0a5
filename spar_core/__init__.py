"""The SPaR algorithm (arXiv 2412.11605) in plain Python: no Beam, no torch."""
