"""What each exported column holds, for readers of a dataset who have no run."""

from __future__ import annotations

_COLUMNS = {
    "pairs": {
        "pair_id": "id, derived from the prompt and the place in the run",
        "prompt": "the conversation to answer: a list of `{role, content}`",
        "chosen": "the preferred answer: a list of one `{role, content}`",
        "rejected": "the other answer, in the same form",
        "prompt_id": "id of the prompt, derived from its text, or from all turns of a chat",
        "tree_id": "id of the search tree that made the pair, if one did",
        "chosen_node_id": "id of the tree's node that holds the chosen answer, if one does",
        "rejected_response_id": "id of the sampled response that was rejected",
        "method": "how the pair was made",
        "similarity": "of the two answers, 0 to 1: 1 - (insertions + deletions) / summed length",
        "depth": "refinements between the two answers, if a tree made the pair",
        "chosen_value": "share of Yes among the votes on the chosen answer that could be read; "
        "where functions check it, the share of them that it passes; "
        "where the model rated its own answers, the mean of its ratings, 0 to 5",
        "rejected_value": "the same of the rejected answer",
        "chosen_yes_votes": "votes for the chosen answer",
        "chosen_no_votes": "votes against it",
        "rejected_yes_votes": "votes for the rejected answer",
        "rejected_no_votes": "votes against it",
        "chosen_chars": "length of the chosen answer in characters",
        "rejected_chars": "length of the rejected answer in characters",
        "refinements": "refinements that the tree tried in all, if there is one",
        "tree_tokens": "completion tokens of the search, if there was one",
        "chosen_checked": "whether the chosen answer passes the prompt's checks; null without any",
        "rejected_checked": "the same of the rejected answer",
        "chosen_response_id": "id of the sampled response that was chosen, if one was",
        "chosen_reasoning": "what the model thought before a chosen response that it sampled, "
        "which is without it; null for nothing",
        "variant": "the settings that the pair was made with, by their name in the run",
        "conversations": "the conversation to answer: a list of `{from, value}`",
        "extra": "other columns of the prompt's row in its file, a JSON object, if it had any",
    },
    "rft": {
        "rft_id": "id, derived from what the sample was made of",
        "messages": "a chat, a list of `{role, content}`; its last turn is the one to learn",
        "prompt": "`messages` without its last turn",
        "completion": "the last turn of `messages`, in the same form",
        "task": "`judge` or `refine`",
        "label": "of a judgement, what the majority of votes, or the program, said: Yes or No",
        "source": "`tree_refinement`, `tree_judgement` or `response_judgement`",
        "value": "share of Yes among the votes on the answer that could be read; 1 or 0 where a "
        "program judged alone",
        "prompt_id": "id of the prompt, derived from its text, or from all turns of a chat",
        "tree_id": "id of the search tree, if the sample is from one",
        "node_id": "id of the tree's node, if the sample is from one",
        "response_id": "id of the sampled response, if the sample is a judgement of one",
        "method": "how the sample was made",
        "reasoning": "what the model thought before the last turn of `messages`, which is without "
        "it; null for nothing",
        "variant": "the settings that the sample was made with, by their name in the run",
        "conversations": "a chat, a list of `{from, value}`; its last turn is the one to learn",
    },
}


def described(table: str, column: str) -> str:
    """A column in a few words.

    Raises:
        KeyError: there is no such column.
    """
    return "iteration of the run" if column == "iteration" else _COLUMNS[table][column]
