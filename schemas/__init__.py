"""The tables of a run: row types, Arrow schemas, the manifest and the DuckDB views."""

from schemas.answers import ANSWERS
from schemas.backtranslations import BACKTRANSLATIONS
from schemas.battles import BATTLES
from schemas.curations import CURATIONS
from schemas.drops import DROPS
from schemas.evaluations import EVALUATIONS
from schemas.evolutions import DRAFTS, EVOLUTIONS
from schemas.failures import FAILURES
from schemas.items import ITEMS
from schemas.judge_pairs import JUDGE_PAIRS
from schemas.judgements import JUDGEMENTS
from schemas.nodes import NODES
from schemas.pairs import PAIRS
from schemas.prompts import PROMPTS
from schemas.ratings import RATINGS
from schemas.relevances import RELEVANCES
from schemas.responses import RESPONSES
from schemas.rft import RFT
from schemas.scores import SCORES
from schemas.seeds import SEEDS
from schemas.sft_actor import SFT_ACTOR
from schemas.sft_refiner import LESSONS, SFT_REFINER
from schemas.table import Table
from schemas.trees import TREES
from schemas.verifications import VERIFICATIONS
from schemas.verifiers import VERIFIERS

TABLES: dict[str, Table] = {  # type: ignore[type-arg]
    table.name: table
    for table in (
        *(SEEDS, DRAFTS, EVOLUTIONS, PROMPTS, RESPONSES, JUDGEMENTS, NODES, TREES, PAIRS, RFT),
        *(LESSONS, SFT_ACTOR, SFT_REFINER, ITEMS, ANSWERS, SCORES, EVALUATIONS, DROPS, FAILURES),
        *(VERIFIERS, VERIFICATIONS, RELEVANCES),
        *(RATINGS, BATTLES, JUDGE_PAIRS),
        *(BACKTRANSLATIONS, CURATIONS),
    )
}
"""Every table of a run by its name."""
