"""docs/claims.md is what the ledger says today."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "write_claims_doc"


def test_the_page_is_not_stale():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_has_every_claim_and_names_no_place():
    text = (REPOSITORY / "docs" / "claims.md").read_text()
    for file in (REPOSITORY / "conf" / "claim").glob("*.yaml"):
        assert f"### `{file.stem}`\n" in text
    assert "unverified" in text
    assert str(REPOSITORY) not in text
