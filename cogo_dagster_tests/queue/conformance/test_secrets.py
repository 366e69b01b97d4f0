"""Secrets in the database: ciphertext only, by scope and reference, replaced and rotated without loss."""

from typing import Any

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner

OLD, NEW = "0123456789ab", "ba9876543210"
TOKEN = "quality:notify:admin_token"


def sealed(mark: str) -> str:
    """Return a string that looks like a Fernet token."""
    return "gAAAA" + mark * 80


def keep(transport: Transport, mark: str = "a", reference: str = TOKEN, **more: Json) -> Any:
    """Store a secret."""
    given = {"environment": "dev", "reference": reference, "ciphertext": sealed(mark), "key_id": OLD, "actor": "me"}
    return transport.call("set_secret", given | more)


def get(transport: Transport, reference: str = TOKEN, environment: str = "dev") -> Any:
    """Read a secret."""
    return transport.call("get_secret", {"environment": environment, "reference": reference})


def test_a_secret_is_returned_as_encrypted(transport: Transport) -> None:
    """It is returned in its own environment only."""
    kept = keep(transport)
    assert (kept["created"], kept["changed"], kept["version"]) == (True, True, 1)
    assert "ciphertext" not in kept
    assert get(transport)["ciphertext"] == sealed("a")
    assert get(transport, environment="prod") is None
    assert get(transport, "quality:notify:other") is None


def test_a_second_value_increases_the_version_and_a_repeated_call_does_not(transport: Transport) -> None:
    """A repeated call has the same ciphertext."""
    keep(transport)
    assert keep(transport, "b")["version"] == 2
    repeated = keep(transport, "b")
    assert (repeated["version"], repeated["changed"]) == (2, False)
    assert len(transport.call("list_operations", {"operation": "set_secret"})) == 2


def test_lists_never_contain_ciphertext(transport: Transport) -> None:
    """The list covers one environment, or all."""
    keep(transport)
    keep(transport, environment="prod")
    assert [row["environment"] for row in transport.call("list_secrets", {})] == ["dev", "prod"]
    [row] = transport.call("list_secrets", {"environment": "prod"})
    assert row["reference"] == TOKEN
    assert "ciphertext" not in row


def test_a_removed_secret_is_deleted(transport: Transport) -> None:
    """It is removed once, and the actor is logged."""
    keep(transport)
    place = {"environment": "dev", "reference": TOKEN, "actor": "me"}
    assert transport.call("delete_secret", place)["changed"] is True
    assert transport.call("delete_secret", place)["changed"] is False
    assert get(transport) is None
    [logged] = transport.call("list_operations", {"operation": "delete_secret"})
    assert (logged["actor"], logged["filter"]["reference"]) == ("me", TOKEN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ciphertext": "plain text"}, "Fernet token"),
        ({"ciphertext": None}, "Fernet token"),
        ({"ciphertext": "gAAAA" + "a" * 100_000}, "Fernet token"),
        ({"key_id": "newest"}, "12 hexadecimal digits"),
        ({"reference": "admin_token"}, "provider:usage:name"),
        ({"reference": "Quality:notify:admin_token"}, "provider:usage:name"),
        ({"reference": "quality:notify:admin_token\n"}, "provider:usage:name"),
        ({"environment": ""}, "lower-case word"),
        ({"environment": None}, "lower-case word"),
    ],
)
def test_plaintext_and_invalid_names_are_rejected(transport: Transport, given: dict[str, Json], message: str) -> None:
    """Nothing is stored."""
    with pytest.raises(InvalidArgument, match=message):
        keep(transport, **given)
    assert transport.call("list_secrets", {}) == []


def test_unrotated_secrets_are_returned_in_batches(transport: Transport) -> None:
    """They are of all environments, in one order, without those encrypted with the key already."""
    for name in ("a", "b", "c"):
        keep(transport, reference=f"p:u:{name}")
    keep(transport, reference="p:u:d", key_id=NEW)
    first = transport.call("list_unrotated_secrets", {"key_id": NEW, "batch_size": 2})
    assert ([row["reference"] for row in first["secrets"]], first["more"]) == (["p:u:a", "p:u:b"], True)
    after = {"environment": "dev", "reference": "p:u:b"}
    rest = transport.call("list_unrotated_secrets", {"key_id": NEW, "after": after, "batch_size": 2})
    assert ([row["reference"] for row in rest["secrets"]], rest["more"]) == (["p:u:c"], False)
    assert rest["secrets"][0]["ciphertext"] == sealed("a")


def test_rotating_keeps_the_version_and_a_concurrently_set_value(transport: Transport) -> None:
    """The version that was read is the fence; a repeated call changes nothing."""
    keep(transport, reference="p:u:a")
    keep(transport, reference="p:u:b")
    read = transport.call("list_unrotated_secrets", {"key_id": NEW})["secrets"]
    keep(transport, "z", reference="p:u:b")
    call = {"secrets": [row | {"ciphertext": sealed("n")} for row in read], "key_id": NEW, "actor": "me"}
    assert transport.call("rotate_secrets", call) == {"matched": 2, "changed": 1, "skipped": 1}
    assert transport.call("rotate_secrets", call) == {"matched": 2, "changed": 0, "skipped": 2}
    rotated, set_concurrently = get(transport, "p:u:a"), get(transport, "p:u:b")
    assert (rotated["ciphertext"], rotated["key_id"], rotated["version"]) == (sealed("n"), NEW, 1)
    assert (set_concurrently["ciphertext"], set_concurrently["key_id"]) == (sealed("z"), OLD)


def test_a_rotation_to_plaintext_is_rejected(transport: Transport) -> None:
    """One plaintext value in a batch rejects the batch."""
    keep(transport, reference="p:u:a")
    rows = transport.call("list_unrotated_secrets", {"key_id": NEW})["secrets"]
    for bad in ("plain text", None):
        with pytest.raises(InvalidArgument, match="Fernet token"):
            transport.call("rotate_secrets", {"secrets": [rows[0] | {"ciphertext": bad}], "key_id": NEW})
    assert get(transport, "p:u:a")["key_id"] == OLD


def test_the_table_has_no_column_for_a_plaintext_or_a_key(owner: Owner) -> None:
    """A missing column cannot leak."""
    columns = owner.execute(
        "select column_name from information_schema.columns where table_schema = 'public' and table_name = 'secrets'"
    )
    assert {name for (name,) in columns} == {
        "environment",
        "reference",
        "ciphertext",
        "key_id",
        "version",
        "created_at",
        "updated_at",
    }
