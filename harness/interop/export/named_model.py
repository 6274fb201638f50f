"""The name ``ORG/NAME`` that other projects know a model by."""

import re

from harness.errors import UserError
from harness.models import HubModel
from harness.store.result import RunResult

_FORM = re.compile(r"[\w-][\w.-]*/[\w-](?:[\w.-]*[\w-])?")


def hub_name(result: RunResult) -> str | None:
    """The model's repository on the hub; None for one that is not, or that has an adapter."""
    model = result.manifest.config.model
    return model.hub_id if isinstance(model, HubModel) and model.adapter is None else None


def public_name(result: RunResult, given: str | None) -> str:
    """The name that was given, else that of its repository.

    Args:
        result: Of the model.
        given: By ``--model-id``.

    Raises:
        UserError: It has another form, or the model has no repository and none was given.
    """
    name = given or hub_name(result)
    example = "should be ORG/NAME, such as HuggingFaceTB/SmolLM2-135M-Instruct"
    if name is None:
        model = result.manifest.model.name
        raise UserError(f"--model-id: missing, and {model} has no repository on the hub; {example}")
    if not _FORM.fullmatch(name):
        raise UserError(f"--model-id={name}: {example}")
    return name


def model_name(result: RunResult) -> str:
    """The model's repository on the hub, else its name in the run."""
    return hub_name(result) or result.manifest.model.name
