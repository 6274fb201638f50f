"""Sends results to Weights & Biases, offline by default.

Its library starts a process, which ends with the run. Collection of machine load, code and terminal
output is turned off.

Its library starts a process of its own, which ends with the run. It collects neither the
machine's load, nor code, nor the terminal's text here.
"""

import os
import shutil
from pathlib import Path

from harness.config.settings import WandbTracker
from harness.runner.trackers.flat import metrics_of, params_of, tags_of
from harness.store.result import RESULT_FILE, RunResult

_TAG_LENGTH = 64


def send_to_wandb(config: WandbTracker, result: RunResult, folder: Path) -> str:
    """Writes one run; returns where it is.

    Raises:
        Exception: Anything of W&B's.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
    import wandb

    tags = tags_of(result)
    settings = wandb.Settings(
        console="off",
        silent=True,
        init_timeout=30,
        disable_code=True,
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    with wandb.init(
        project=config.project,
        entity=config.entity,
        dir=os.environ.get("WANDB_DIR") or str(folder),
        mode=config.mode,
        name=result.manifest.run_id,
        config={**params_of(result), "tags": tags},
        tags=[f"{name}:{value}"[:_TAG_LENGTH] for name, value in tags.items()],
        settings=settings,
    ) as run:
        run.summary.update(metrics_of(result))
        # W&B sends the files in its folder unchanged.
        shutil.copyfile(folder / RESULT_FILE, Path(run.dir) / RESULT_FILE)
        where = Path(run.dir).parent
    return f"files in {where}" if config.mode == "offline" else f"sent, files in {where}"
