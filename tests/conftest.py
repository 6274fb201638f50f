"""What several tests need: real data where it is, and the words when it is not."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real MATH-500 and the real R1-distill tokenizer."""
    folder = Path(os.environ.get("HARNESS_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data (looked in {folder}; HARNESS_DATA_DIR names it)")
    return folder
