"""Records a run that does not finish, so that it can be resumed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from harness.errors import CanaryError, Interrupted, StoreError
from harness.store.manifest import CanaryReport, RunManifest
from harness.store.run_files import Run

log = logging.getLogger(__name__)


@contextmanager
def recorded_end(run: Run) -> Iterator[None]:
    """Records what ends a run early, and raises it again."""
    try:
        yield
    except (Exception, Interrupted, KeyboardInterrupt) as error:
        _record_end(run, error)
        raise


def _record_end(run: Run, error: BaseException) -> None:
    """Records in the manifest how the run ended, and tells the user how to continue.

    A failure after a run is complete does not undo it, and an attempt that failed before anything
    was kept leaves no folder.

    What goes wrong after a run is complete does not undo it, and a try that failed before anything
    was kept leaves no folder.
    """
    ended = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
    with suppress(StoreError):
        manifest = run.read_manifest()
        if manifest.status == "complete":
            return
        if not isinstance(error, CanaryError) and run.remove_if_empty():
            log.info("nothing was kept of this run, and its folder is removed")
            return
        update = {
            "status": ended,
            "finished_at": datetime.now(UTC),
            "error": str(error) or type(error).__name__,
        }
        if isinstance(error, CanaryError) and not manifest.is_refused:
            update["canary"] = _unsent_canary(manifest, str(error))
        run.write_manifest(manifest.model_copy(update=update))
    if isinstance(error, CanaryError):
        return  # a resumed run would meet the same fault
    log.warning("everything up to here is kept; to continue: harness run resume=%s", run.shown)


def _unsent_canary(manifest: RunManifest, fault: str) -> CanaryReport:
    """A canary report without answers: the fault was found before the problems were sent."""
    return CanaryReport(
        problems=0,
        solved=0,
        faults=(fault,),
        warnings=(),
        max_new_tokens=manifest.config.protocol.max_new_tokens,
        wall_s=0.0,
    )
