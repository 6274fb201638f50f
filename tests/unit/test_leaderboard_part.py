"""The quick reader of results reads what pydantic reads, and refuses what pydantic refuses."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, ValidationError

from harness.analysis.leaderboard import result_part
from harness.analysis.leaderboard.result_part import read_part

BASELINES = sorted((Path(__file__).parents[2] / "results" / "baselines").glob("*.json"))


def plain(value: Any) -> Any:
    """The same as dictionaries and lists, whoever read it."""
    if isinstance(value, BaseModel):
        value = dict(value)
    return msgspec.to_builtins(value, enc_hook=plain)


@pytest.mark.parametrize("file", BASELINES, ids=lambda file: file.stem)
def test_both_ways_read_the_same(file: Path) -> None:
    content = file.read_bytes()
    quick = result_part._decoder().decode(content)
    assert plain(quick) == plain(result_part._PART.model_validate_json(content))


def test_a_number_in_quotes_is_read_as_pydantic_reads_it() -> None:
    content = BASELINES[0].read_bytes()
    seed = json.loads(content)["manifest"]["config"]["seed"]
    quoted = content.replace(f'"seed":{seed}'.encode(), f'"seed":"{seed}"'.encode())
    assert quoted != content
    assert read_part(quoted).manifest.config.seed == seed


OUTCOMES = b'"outcomes":['


@pytest.mark.parametrize(
    ("found", "damage"),
    [
        (OUTCOMES, b'"outcomes":[nul, '),
        (OUTCOMES, b'"outcomes":["\xff", '),
        (OUTCOMES, b'"outcomes":["\\x", '),
        (OUTCOMES, b'"outcomes":[01, '),
        (OUTCOMES, b'"outcomes":[, '),
        (OUTCOMES, b'"outcomes":{'),
        (b'"estimates":[', b'"estimates":[{"metric": "m", "value": 1e999, "n": 1}, '),
        (b'"estimates":[', b'"estimates":[{"metric": "m", "value": null, "n": -1}, '),
        (b'"estimates":[', b'"estimates":[{"metric": "m", "value": null}, '),
        (b'"status":"complete"', b'"status":"odd"'),
        (b'"schema_version":1', b'"schema_version":2'),
    ],
    ids=lambda part: part.decode(errors="replace"),
)
def test_what_is_damaged_is_refused_wherever_it_is(found: bytes, damage: bytes) -> None:
    content = BASELINES[0].read_bytes()
    assert found in content
    with pytest.raises(ValidationError):
        read_part(content.replace(found, damage, 1))


def test_a_torn_file_is_refused() -> None:
    with pytest.raises(ValidationError):
        read_part(BASELINES[0].read_bytes()[:-2])
