"""Token counts as an `evaluate` metric."""

from harness.metrics import evaluate_module, token_lengths


class TokenCounts(evaluate_module.EvaluateModule):
    """How long prompts, thoughts and answers are.

    Args:
        problem_ids: Which problem each request belongs to; intervals resample problems.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Generated tokens.
        reasoning_tokens: Of these, up to and including the end of thinking; None where unknown.
        seed: Of the bootstrap.

    Returns:
        A figure each for `prompt_tokens.mean`, `completion_tokens.mean`, `reasoning_tokens.mean`,
        `answer_tokens.mean` and `reasoning_share` (of all generated tokens); n is requests.
    """

    columns = ("problem_ids", "prompt_tokens", "completion_tokens", "reasoning_tokens")
    function = staticmethod(token_lengths.token_counts)
