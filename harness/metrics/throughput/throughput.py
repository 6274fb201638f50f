"""Throughput of the engine as an `evaluate` metric."""

from harness.metrics import engine_speed, evaluate_module


class Throughput(evaluate_module.EvaluateModule):
    """Output and prefill tokens per second, load and warm-up excluded.

    Args:
        sessions: Which process lifetime of a resumed run made the request; the time between two
            of them does not count.
        queued_s: When the request was handed to the engine; later than the others of its session
            where it had failed and was tried again.
        started_s: When the engine began with the request.
        first_token_s: When its first token was there.
        finished_s: When its last token was there.
        prompt_tokens: Tokens of the prompt.
        cached_prompt_tokens: Of these, those that were not computed, because their keys and values
            were there already.
        completion_tokens: Generated tokens, thinking included.
        waited_s: How long each request waited before it was sent for the last time; None where
            nothing is known of it. Time in which requests waited and none was under way does not
            count.
        max_concurrency: Requests that the engine serves at once at most; None where unknown.
        whole_sessions: Those of which every request is here. Of others some were under way when
            the session was stopped. None: all.

    Times are seconds on one clock, None where unknown.

    Returns:
        A figure each for `generation_s`, `output_tokens_per_s`, `mean_concurrency`,
        `steady_state_s`, `output_tokens_per_s.steady_state`, `mean_concurrency.steady_state` and
        `computed_prefill_tokens_per_s`.
    """

    columns = (
        *("sessions", "queued_s", "started_s", "first_token_s", "finished_s"),
        *("prompt_tokens", "cached_prompt_tokens", "completion_tokens"),
    )
    function = staticmethod(engine_speed.throughput)
