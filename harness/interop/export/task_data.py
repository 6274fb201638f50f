"""Where a task's data set is on the Hugging Face hub."""

from harness.errors import TaskError
from harness.tasks import load_spec
from harness.tasks.spec import HubSource


def hub_source(task: str) -> HubSource | None:
    """None for a data set that is not there, and for a task that this machine does not have."""
    try:
        spec = load_spec(task)
    except TaskError:
        return None
    return next((source for source in spec.sources if isinstance(source, HubSource)), None)
