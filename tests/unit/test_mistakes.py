"""What pydantic finds wrong, as mistakes with keys of the file."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from harness.io.mistakes import first_mistake, mistakes
from harness.records import Record


class Cat(Record):
    kind: Literal["cat"]
    lives: int


class Dog(Record):
    kind: Literal["dog"]


class Home(Record):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    rooms: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    name: str = "home"

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 4:
            raise ValueError("should be short")
        return name


def raised(document: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Home.model_validate(document)
    return caught.value


def test_the_branch_of_a_union_is_no_key() -> None:
    error = raised({"pet": {"kind": "cat", "lives": "many"}})
    assert [each.key for each in mistakes(error, branch_at={"pet": 1})] == ["pet.lives"]
    assert first_mistake(error).keys == ("pet", "cat", "lives")


def test_an_unknown_branch_is_a_mistake_of_its_block() -> None:
    (only,) = mistakes(raised({"pet": {"kind": "cow"}}), branch_at={"pet": 1})
    assert (only.keys, only.details["type"]) == (("pet",), "union_tag_invalid")


def test_all_mistakes_are_told_with_what_was_given() -> None:
    found = mistakes(raised({"pet": {"kind": "dog"}, "name": "too long", "rooms": []}))
    assert {each.key: each.given for each in found} == {"name": "too long", "rooms": []}
    assert str(next(each for each in found if each.key == "name")) == "name: should be short"


def test_a_mistake_of_the_whole_has_no_key() -> None:
    with pytest.raises(ValidationError) as caught:
        Home.model_validate_json("{")
    found = first_mistake(caught.value)
    assert found.keys == ()
    assert str(found) == found.text
