"""IDs of the database behave as any other UUID."""

import copy
import pickle
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from cogo_dagster.queue.ids import StoredId

TEXT = "018f2b3c-7d5e-7a1b-8c2d-3e4f5a6b7c8d"


def test_it_equals_the_uuid_with_the_same_text() -> None:
    """In sets and as a key too, and it sorts with other UUIDs."""
    assert StoredId(TEXT) == UUID(TEXT)
    assert UUID(TEXT) in {StoredId(TEXT)}
    other = uuid4()
    assert sorted([StoredId(TEXT), other]) == sorted([UUID(TEXT), other])


def test_it_has_the_parts_of_a_uuid() -> None:
    """All of them are derived from the number."""
    parts = ("int", "hex", "bytes", "fields", "version", "variant", "urn", "is_safe")
    assert [getattr(StoredId(TEXT), part) for part in parts] == [getattr(UUID(TEXT), part) for part in parts]
    assert repr(StoredId(TEXT)) == repr(UUID(TEXT)).replace("UUID", "StoredId")


def test_it_is_written_as_its_text() -> None:
    """With a width too."""
    assert str(StoredId(TEXT)) == f"{StoredId(TEXT)}" == TEXT
    assert f"{StoredId(TEXT):>40}" == f"    {TEXT}"


def test_copies_are_equal() -> None:
    """Copied, pickled and validated."""
    stored = StoredId(TEXT)
    assert copy.copy(stored) == copy.deepcopy(stored) == pickle.loads(pickle.dumps(stored)) == UUID(TEXT)
    assert TypeAdapter(UUID).validate_python(stored) == UUID(TEXT)


def test_it_cannot_be_changed() -> None:
    """As any UUID."""
    with pytest.raises(TypeError):
        StoredId(TEXT).int = 3  # type: ignore[misc]


def test_a_text_of_another_length_is_rejected() -> None:
    """Such as one without hyphens."""
    with pytest.raises(ValueError, match="not a UUID"):
        StoredId(TEXT.replace("-", ""))
