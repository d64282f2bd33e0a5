"""Checks: what of a prompt's constraints a program can check, by the checkers of IFEval.

The checkers are those that lm-eval keeps; they are an optional dependency.
"""
