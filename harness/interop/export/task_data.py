"""The data set in a task's definition."""

from harness.errors import TaskError
from harness.store.manifest import TaskInfo
from harness.tasks import TaskSpec, definition_sha256, load_spec
from harness.tasks.spec import HubSource


def hub_source(task: str) -> HubSource | None:
    """The data set's source on the Hugging Face hub.

    None for a data set that is not there, and for a task that this machine does not have.
    """
    spec = _spec(task)
    sources = spec.sources if spec else ()
    return next((source for source in sources if isinstance(source, HubSource)), None)


def prompt_template(task: TaskInfo) -> str | None:
    """The task's prompt, ``{question}`` in the place of the problem.

    None where this machine lacks the task, or has another version of it.
    """
    spec = _spec(task.name)
    is_same = spec is not None and definition_sha256(spec) == task.definition_sha256
    return spec.prompt if spec and is_same else None


def _spec(task: str) -> TaskSpec | None:
    try:
        return load_spec(task)
    except TaskError:
        return None
