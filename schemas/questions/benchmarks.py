"""Of benchmarks: scores, and whose word they rest on."""

from __future__ import annotations

from schemas.questions.question import Question

VIEWS: dict[str, Question] = {
    "benchmark_scores": Question(
        "what models came to in benchmarks, of all of each and of its parts, with intervals",
        """
        select iteration, variant, benchmark, metric, part, round(value, 3) as value,
               round(low, 3) as low, round(high, 3) as high, scored, items, decoder, votes, budget,
               round(responses, 1) as responses, round(tokens, 1) as tokens, model, scorer
        from evaluations
        order by benchmark, iteration, variant, decoder, budget, votes, part, metric""",
    ),
    "refinement_bias": Question(
        "how many refinements pass by the refiner's own word, a judge's and a program's",
        """
        with said as (
            select iteration, variant, decoder, votes, budget, metric, value, units
            from evaluations where benchmark = 'refinement' and part = ''),
        sides as (
            select iteration, variant, decoder, votes, budget, metric, unnest(units) as unit
            from said),
        checked as (
            select iteration, variant, decoder, votes, budget,
                   sum(p.unit.parts[1].under)::bigint as checked,
                   sum(s.unit.parts[1].over - p.unit.parts[1].over) / checked as more
            from sides s join sides p using (iteration, variant, decoder, votes, budget)
            where s.metric = 'self' and p.metric = 'program' and s.unit.key = p.unit.key
              and s.unit.parts[1].under = p.unit.parts[1].under
            group by all)
        select iteration, variant, decoder, votes, budget,
               round(any_value(value) filter (metric = 'self'), 3) as self,
               round(any_value(value) filter (metric = 'judge'), 3) as judge,
               round(any_value(value) filter (metric = 'program'), 3) as program,
               any_value(checked) as checked, round(any_value(more), 3) as self_minus_program
        from said left join checked using (iteration, variant, decoder, votes, budget)
        group by iteration, variant, decoder, votes, budget order by all""",
    ),
}
