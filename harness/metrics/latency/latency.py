"""Latency of single requests as an `evaluate` metric."""

from harness.metrics import evaluate_module, latencies


class Latency(evaluate_module.EvaluateModule):
    """Waiting, and from the start: first token, per token, last token, token of the answer.

    Args:
        queued_s: When the engine could have begun with it: it waited from then on.
        sent_s: When the HTTP request was sent, for a server.
        started_s: When the engine began with it.
        first_token_s: When its first token was there.
        finished_s: When its last token was there.
        completion_tokens: Generated tokens, thinking included.
        reasoning_tokens: Of these, up to and including the end of thinking.

    Times are seconds on one clock; None where unknown, and a request whose numbers do not suffice
    for a figure is left out of that one.

    Returns:
        A figure for p50, p90 and p99 each of `queue_wait_s`, `time_to_first_token_s` (TTFT),
        `time_per_output_token_s` (TPOT), `request_latency_s`, `time_to_answer_token_s`,
        `client_ttft_s` and `client_latency_s`.
    """

    columns = (
        *("queued_s", "sent_s", "started_s", "first_token_s", "finished_s"),
        *("completion_tokens", "reasoning_tokens"),
    )
    function = staticmethod(latencies.latency)
