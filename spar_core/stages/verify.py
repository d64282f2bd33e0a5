"""Verify: what the kept functions of a prompt say of the responses to it, in the sandbox."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.responses import WHOLE
from schemas.verifications import Verification
from spar_core.checks.strict import check
from spar_core.dataset import Rows
from spar_core.decoding.tasks import all_of
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.sample import SAMPLE
from spar_core.stages.verifiers import SANDBOX, VERIFIERS, limits
from spar_core.verification.trial import Limits, tried

ACCEPTED = 0.5
"""The least pass rate of an answer that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings(StageSettings):
    """limits: of the sandbox."""

    limits: Limits


async def _verify(context: Context[VerifySettings], item: Item) -> Rows:
    texts: list[str] = item["responses"]
    trials = await all_of(tried(code, texts, context.settings.limits) for code in item["codes"])
    checked = await all_of(check(item["checks"], text) for text in texts)
    said = zip(*(trial.answers for trial in trials), strict=True)
    rows = [
        _row(item, response_id, answers, passes)
        for response_id, answers, passes in zip(item["response_ids"], said, checked, strict=True)
    ]
    return {"verifications": rows}


def _row(
    item: Item, response_id: str, answers: Sequence[bool | None], checked: bool | None
) -> Verification:
    accepted, rejected = answers.count(True), answers.count(False)
    decided = accepted + rejected
    return Verification(
        response_id=response_id,
        prompt_id=item["prompt_id"],
        accepted=accepted,
        rejected=rejected,
        undecided=answers.count(None),
        pass_rate=accepted / decided if decided else None,
        model=item["model"],
        checked=checked,
    )


def _settings(options: Namespace) -> VerifySettings:
    return VerifySettings(seed=options.seed, limits=limits(options))


VERIFY = Stage(
    name="verify",
    noun="prompts with functions",
    items=f"""
        with kept as (
            select prompt_id, list(code order by verifier_id) as codes, any_value(model) as model
            from verifiers where dropped is null group by prompt_id)
        select prompt_id as key, prompt_id, any_value(checks) as checks,
               any_value(codes) as codes, any_value(kept.model) as model,
               list(response_id order by response_id) as response_ids,
               list(response order by response_id) as responses
        from responses join kept using (prompt_id) join prompts using (prompt_id)
        where {WHOLE} and prompt_id in (select prompt_id from scope)
        group by prompt_id""",
    task=_verify,
    settings=_settings,
    writes=("verifications",),
    options=(SANDBOX,),
    after=(SAMPLE, VERIFIERS),
)
