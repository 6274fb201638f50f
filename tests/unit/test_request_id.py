"""The name of one sample of one problem, as it stands in every file."""

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from harness.records import RequestId, Verdict


def test_it_knows_its_parts_and_is_a_plain_string_to_everything_else() -> None:
    made = RequestId.of("math500/test/algebra/24#b.json", 2)
    assert (made.task, made.problem_id, made.sample) == (
        "math500",
        "math500/test/algebra/24#b.json",
        2,
    )
    assert made == "math500/test/algebra/24#b.json#2"
    by_id: dict[str, int] = {made: 1}
    assert by_id["math500/test/algebra/24#b.json#2"] == 1
    assert pickle.loads(pickle.dumps(made)).sample == 2


@pytest.mark.parametrize(
    "text", ["", "#0", "t/1", "t#0", "/1#0", "t/1#", "t/1#x", "t/1#-1", "t/#0"]
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TASK/PROBLEM#SAMPLE"):
        RequestId(text)


def verdict(request_id: Any) -> Verdict:
    return Verdict(request_id=request_id, status="correct", scorer="s@1", wall_s=0.0)


def test_records_hold_it_and_files_hold_a_string() -> None:
    written = verdict("t/1#0").model_dump_json()
    assert '"request_id":"t/1#0"' in written
    assert Verdict.model_validate_json(written).request_id.problem_id == "t/1"
    assert Verdict.model_json_schema()["properties"]["request_id"]["type"] == "string"
    with pytest.raises(ValidationError) as refusal:
        verdict("t/1")
    assert refusal.value.errors()[0]["loc"] == ("request_id",)
