"""The vault on a real database: order of sources, encryption at rest, and interrupted rotations."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogo_dagster.queue.supabase.edge_functions import EdgeFailed
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.vault.key_ring import KeyRing, new_key
from cogo_dagster.vault.key_vault import EncryptedSecret, KeyVault, variable_of
from cogo_dagster.vault.vault_errors import InvalidReference, NoVaultKeys, VaultError
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.vault.vaults import TOKEN, Breaking, ring, vault

CANARY = "canary-7f3a91d2"


class Edge:
    """An edge function that has a secret, has none, or fails."""

    def __init__(self, stored: EncryptedSecret | None = None, *, fails: bool = False) -> None:
        self._stored, self._fails = stored, fails

    def secret(self, environment: str, reference: str) -> EncryptedSecret | None:
        """Return the secret, or fail."""
        assert (environment, reference) == ("dev", TOKEN)
        if self._fails:
            raise EdgeFailed("Unreachable.")
        return self._stored


def with_edge(key_vault: KeyVault, edge: Edge) -> KeyVault:
    """Return the same vault with an edge function."""
    return KeyVault(key_vault.transport, key_vault.environment, key_vault.keys, key_vault.variable, edge)


def test_the_database_does_not_contain_the_value(transport: Transport, owner: Owner) -> None:
    """The value is neither in the table of secrets nor in the log of operations."""
    key_vault = vault(transport)
    key_vault.put(TOKEN, CANARY, "me")
    assert key_vault.get(TOKEN) == CANARY
    for table in ("secrets", "operations_log"):
        rows = owner.execute(f"select to_jsonb(t)::text from public.{table} t".encode()).fetchall()
        assert rows
        assert CANARY not in str(rows)


def test_variable_edge_function_and_database_in_that_order(transport: Transport) -> None:
    """The result names the source."""
    keys = ring()
    key_vault = vault(transport, keys)
    key_vault.put(TOKEN, "from the database")
    elsewhere = keys.seal("dev", TOKEN, "from the edge")
    sealed = EncryptedSecret(elsewhere, version=7)
    edge = with_edge(key_vault, Edge(sealed))
    variable = with_edge(vault(transport, keys, {"QUALITY_NOTIFY_ADMIN_TOKEN": "from the variable"}), Edge(sealed))
    assert [variable.get(TOKEN), edge.get(TOKEN), key_vault.get(TOKEN)] == [
        "from the variable",
        "from the edge",
        "from the database",
    ]
    sources = [found.source for one in (variable, edge, key_vault) if (found := one.find(TOKEN))]
    assert sources == ["variable QUALITY_NOTIFY_ADMIN_TOKEN", "edge function", "database"]


@pytest.mark.parametrize("edge", [Edge(fails=True), Edge(None)], ids=["fails", "has no secret"])
def test_the_database_is_the_fallback_of_the_edge_function(transport: Transport, edge: Edge) -> None:
    """The value of the database is returned if the function fails or does not have the secret."""
    key_vault = vault(transport)
    key_vault.put(TOKEN, "value")
    assert with_edge(key_vault, edge).get(TOKEN) == "value"


def test_a_missing_secret_needs_no_key(transport: Transport) -> None:
    """A missing secret is None even without keys; a stored one raises NoVaultKeys."""

    def none() -> KeyRing:
        raise NoVaultKeys("No keys.")

    assert KeyVault(transport, "dev", none).get(TOKEN) is None
    vault(transport).put(TOKEN, "value")
    with pytest.raises(NoVaultKeys):
        KeyVault(transport, "dev", none).get(TOKEN)


def test_environments_are_separate(transport: Transport) -> None:
    """A reference has a value per environment."""
    keys = ring()
    vault(transport, keys).put(TOKEN, "of dev")
    vault(transport, keys, environment="prod").put(TOKEN, "of prod")
    assert vault(transport, keys).get(TOKEN) == "of dev"
    assert vault(transport, keys, environment="prod").get(TOKEN) == "of prod"


@pytest.mark.parametrize(
    ("reference", "variable"),
    [
        ("quality:notify:admin_token", "QUALITY_NOTIFY_ADMIN_TOKEN"),
        ("googlechat:notify:webhook_url", "GOOGLE_CHAT_WEBHOOK_URL"),
        ("figma:api:token", "FIGMA_API_TOKEN"),
        ("open-ai:chat:key", "OPEN_AI_CHAT_KEY"),
    ],
)
def test_each_reference_has_a_variable(reference: str, variable: str) -> None:
    """The name is derived from the reference, except that of Google Chat, which is given by the runbook."""
    assert variable_of(reference) == variable


@pytest.mark.parametrize("reference", ["", "a:b", "a:b:c:d", "A:b:c", "a b:c:d", "a::c", "a:b:c\n", "1:2:3"])
def test_an_invalid_reference_is_rejected(transport: Transport, reference: str) -> None:
    """Every method rejects it before a call of the database."""
    key_vault = vault(Breaking(transport, ["before"]))
    for call in (key_vault.get, key_vault.remove, lambda reference: key_vault.put(reference, "value")):
        with pytest.raises(InvalidReference, match="provider:usage:name"):
            call(reference)


@pytest.mark.parametrize("value", ["", "a\x00b", "a\udcffb", "x" * 32_769])
def test_an_invalid_value_is_rejected_without_being_quoted(transport: Transport, value: str) -> None:
    """Nothing is stored."""
    key_vault = vault(transport)
    with pytest.raises(InvalidReference, match="1 to 32,768 characters") as rejected:
        key_vault.put(TOKEN, value)
    assert not value or value not in str(rejected.value)
    assert key_vault.secrets() == []


@given(value=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=200))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_are_returned_unchanged(transport: Transport, value: str) -> None:
    """Values include line breaks, quotes and all scripts."""
    key_vault = vault(transport)
    key_vault.put(TOKEN, value)
    assert key_vault.get(TOKEN) == value


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["set", "rotate", "key"]), st.integers(0, 4), st.sampled_from(["", "before", "after"])
        ),
        max_size=12,
    ),
    batch_size=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_interruptions_leave_every_secret_readable(
    transport: Transport, owner: Owner, steps: list[tuple[str, int, str]], batch_size: int
) -> None:
    """Writes, new keys and rotations are interrupted at any call; a final rotation makes the old keys unnecessary."""
    owner.execute("delete from public.secrets")
    keys, values = [new_key()], {f"p:u:s{number}": f"value {number}" for number in range(5)}
    for reference, value in values.items():
        vault(transport, ring(*keys)).put(reference, value)
    for step, number, breaks in steps:
        if step == "key":
            keys.insert(0, new_key())
            continue
        broken = vault(Breaking(transport, [""] * (number if step == "rotate" else 0) + [breaks]), ring(*keys))
        try:
            if step == "rotate":
                broken.rotate(batch_size=batch_size)
            else:
                broken.put(f"p:u:s{number}", f"value {number}")
        except ConnectionError:
            pass
        assert {reference: vault(transport, ring(*keys)).get(reference) for reference in values} == values
    done = vault(transport, ring(*keys)).rotate(batch_size=batch_size)
    assert (done.skipped, done.unreadable) == (0, [])
    assert {reference: vault(transport, ring(keys[0])).get(reference) for reference in values} == values


def test_a_rotation_skips_unreadable_secrets(transport: Transport) -> None:
    """An unreadable secret is reported and left unchanged, and the rest is rotated."""
    lost, old, new = new_key(), new_key(), new_key()
    vault(transport, ring(lost)).put("p:u:a", "lost")
    vault(transport, ring(old)).put("p:u:b", "key_vault")
    done = vault(transport, ring(new, old)).rotate(batch_size=1)
    assert (done.changed, done.unreadable) == (1, ["dev p:u:a"])
    assert vault(transport, ring(new)).get("p:u:b") == "key_vault"
    assert vault(transport, ring(lost)).get("p:u:a") == "lost"
    with pytest.raises(VaultError, match="add that key to COGO_VAULT_KEYS"):
        vault(transport, ring(new)).get("p:u:a")


def test_secrets_are_not_in_the_repr(transport: Transport) -> None:
    """The repr of the vault and of a found secret does not contain the value."""
    key_vault = vault(transport, variables={"QUALITY_NOTIFY_ADMIN_TOKEN": CANARY})
    assert CANARY not in repr(key_vault.find(TOKEN)) + repr(key_vault)
