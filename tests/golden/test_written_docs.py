"""Pages that a script writes are what it would write today."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "write_docs"


def test_no_page_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_claims_page_has_every_claim_and_names_no_place() -> None:
    text = (REPOSITORY / "docs" / "claims.md").read_text()
    for file in (REPOSITORY / "conf" / "study" / "deepseek_2025" / "claim").glob("*.yaml"):
        assert f"### `{file.stem}`\n" in text
    assert "unverified" in text
    assert str(REPOSITORY) not in text


def test_the_readme_counts_the_claims() -> None:
    claims = len(list((REPOSITORY / "conf" / "study" / "deepseek_2025" / "claim").glob("*.yaml")))
    assert f" {claims} claims that " in (REPOSITORY / "README.md").read_text()
