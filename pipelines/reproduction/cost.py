"""What steps cost, before anything is measured: tokens by simple assumptions."""

from __future__ import annotations

from pipelines.reproduction.settings import Settings
from pipelines.reproduction.step import Work

PROMPT = 120.0
"""Tokens of a prompt, as docs/plan.md assumes."""

_LESSONS_A_PROMPT = 4


def of_round(settings: Settings, prompts: int) -> Work:
    """A data round: responses and their votes, and half of a full tree for each prompt."""
    how, rates = settings.round, settings.rates
    votes = 0 if how.get("checks") == "decide" else int(how.get("votes", 5))
    responses = int(how.get("responses", 5)) * (rates.answer + votes * rates.vote)
    refinements = int(how.get("budget", 15)) / 2 * (rates.refinement + votes * rates.vote)
    return Work(2, prompts * (responses + refinements))


def of_dpo(settings: Settings, prompts: int) -> Work:
    """A training on a pair for each prompt."""
    epochs = float(settings.trainings.dpo.get("num_train_epochs", 1))
    return Work(trained=prompts * epochs * 2 * (PROMPT + settings.rates.answer))


def of_iteration(settings: Settings, iteration: int) -> Work:
    """A data round, DPO and RFT; in the first iteration the bootstrap, too."""
    prompts, rates = settings.prompts.iteration, settings.rates
    round_, dpo = of_round(settings, prompts), of_dpo(settings, prompts)
    epochs = float(settings.trainings.rft.get("num_train_epochs", 5))
    lesson = PROMPT + rates.answer + rates.vote + rates.refinement
    starts, written = round_.starts, round_.written
    trained = dpo.trained + min(prompts * 3, 4000) * epochs * lesson
    if iteration == 1:
        taught = settings.prompts.bootstrap
        starts, written = starts + 1, written + taught * rates.answer
        trained += taught * (PROMPT + rates.answer + _LESSONS_A_PROMPT * lesson)
    return Work(starts, written, trained)


def seconds(settings: Settings, work: Work) -> float:
    """How long a step takes by the rates of the settings."""
    rates = settings.rates
    return (
        work.starts * rates.start_s
        + work.written / rates.engine_tokens_s
        + work.trained / rates.training_tokens_s
    )
