"""Why answers end, in the words of servers (in lower case), and what becomes of such answers.

A reason that is not listed here, `stop` above all, ends an answer that is whole.
"""

from __future__ import annotations

CUT = ("length", "max_tokens", "model_length", "model_context_window_exceeded", "null")
"""The answer is kept and counted, and is not whole: it met a limit. `null` stands for a server that
names no reason."""

DISCARDED = (
    *("content_filter", "refusal", "sensitive", "safety", "recitation", "repetition"),
    *("blocklist", "prohibited_content", "spii"),
)
"""The answer is not stored and not asked for again in this run: a filter of the server ended it."""

FAILED = ("error", "abort", "insufficient_system_resource")
"""The answer is not stored: the server failed, and the request is sent again as after an error."""

CALLS = ("tool_calls", "function_call")
"""The model calls a tool. Without any text the answer is treated as one that is discarded."""

NOT_WHOLE = CUT + DISCARDED + FAILED
"""Reasons of all answers that are not whole. Rows written by earlier versions have all of them."""
