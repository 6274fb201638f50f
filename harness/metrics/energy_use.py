"""The energy of a run: in all, per output token, and per solved task."""

from collections.abc import Sequence

from harness.metrics.cost import Usage, apportion
from harness.metrics.figures import by_problem, figure, from_interval, run_and_tasks, unknown
from harness.metrics.samples import NO_COUNTS
from harness.metrics.shares import unit_of_shares, weights
from harness.records import Estimate, Sample
from harness.stats.intervals import ratio_interval


def estimate_energy(samples: Sequence[Sample], usage: Usage, seed: int) -> list[Estimate]:
    """Joules of the whole run, and per solved task of each task and of all together.

    Args:
        samples: All attempts.
        usage: What they used.
        seed: Of the bootstraps.
    """
    joules, source = usage.energy_joules, usage.energy_source or "source not recorded"
    per_token, per_solved = "joules_per_output_token", "joules_per_solved"
    if joules is None:
        why = f"the energy is unknown ({source})"
        return [
            unknown("energy_joules", "J", why),
            unknown(per_token, "J/token", why),
            *(unknown(per_solved, "J", why, task) for task, _ in run_and_tasks(samples)),
        ]
    what = f"measured while generating, by {source}"
    estimates = [figure("energy_joules", joules, "J", len(samples), what), _per_token(usage, what)]
    shares = apportion(joules, weights(samples, None))
    for task, places in run_and_tasks(samples):
        spent, solved = by_problem(samples, list(shares), places)
        if sum(solved) == 0:
            why = "nothing was solved, so no energy per solved task exists"
            estimates.append(unknown(per_solved, "J", why, task, n=len(solved)))
            continue
        interval = ratio_interval(spent, solved, seed=seed, nothing="nothing is solved")
        how = f"all attempts, shared out by {unit_of_shares(samples)}; {what}"
        estimates.append(from_interval(per_solved, interval, "J", how, task))
    return estimates


def _per_token(usage: Usage, what: str) -> Estimate:
    tokens = usage.completion_tokens
    name, unit = "joules_per_output_token", "J/token"
    if not tokens or usage.energy_joules is None:
        why = NO_COUNTS if tokens is None else "no output tokens"
        return unknown(name, unit, why, method=what)
    return figure(name, usage.energy_joules / tokens, unit, tokens, f"over all tokens; {what}")
