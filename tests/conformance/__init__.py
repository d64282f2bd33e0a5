"""Scripted servers that refuse, answer and default as kinds of servers do, and rounds on them."""
