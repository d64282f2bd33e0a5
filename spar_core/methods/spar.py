"""SPaR: a failing answer is refined by tree search until it passes (arXiv 2412.11605).

The chosen side is the refinement, the rejected side the answer it was refined from.
"""

from __future__ import annotations

from spar_core.stages.judge import JUDGE
from spar_core.stages.pairs import PAIRS
from spar_core.stages.rft import RFT
from spar_core.stages.sample import SAMPLE
from spar_core.stages.tree_search import TREE_SEARCH

STAGES = (SAMPLE, JUDGE, TREE_SEARCH, PAIRS, RFT)
