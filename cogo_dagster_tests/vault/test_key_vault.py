"""The vault on a real database: who is asked first, what is kept, and rotation that loses nothing."""

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
    """An edge function that has a secret, or none, or does not answer."""

    def __init__(self, kept: EncryptedSecret | None = None, *, fails: bool = False) -> None:
        self._kept, self._fails = kept, fails

    def secret(self, environment: str, reference: str) -> EncryptedSecret | None:
        """Answer."""
        assert (environment, reference) == ("dev", TOKEN)
        if self._fails:
            raise EdgeFailed("It is away.")
        return self._kept


def with_edge(kept: KeyVault, edge: Edge) -> KeyVault:
    """Return the same vault behind an edge function."""
    return KeyVault(kept.transport, kept.environment, kept.keys, kept.variable, edge)


def test_a_secret_comes_back_and_the_database_never_saw_it(transport: Transport, owner: Owner) -> None:
    """Not in its table, not in the log of operations."""
    kept = vault(transport)
    kept.put(TOKEN, CANARY, "me")
    assert kept.get(TOKEN) == CANARY
    for table in ("secrets", "operations_log"):
        rows = owner.execute(f"select to_jsonb(t)::text from public.{table} t".encode()).fetchall()
        assert rows
        assert CANARY not in str(rows)


def test_the_variable_wins_then_the_edge_function_then_the_database(transport: Transport) -> None:
    """And the source is said."""
    keys = ring()
    kept = vault(transport, keys)
    kept.put(TOKEN, "from the database")
    elsewhere = keys.seal("dev", TOKEN, "from the edge")
    sealed = EncryptedSecret(elsewhere, version=7)
    edge = with_edge(kept, Edge(sealed))
    variable = with_edge(vault(transport, keys, {"QUALITY_NOTIFY_ADMIN_TOKEN": "from the variable"}), Edge(sealed))
    assert [variable.get(TOKEN), edge.get(TOKEN), kept.get(TOKEN)] == [
        "from the variable",
        "from the edge",
        "from the database",
    ]
    sources = [found.source for one in (variable, edge, kept) if (found := one.find(TOKEN))]
    assert sources == ["variable QUALITY_NOTIFY_ADMIN_TOKEN", "edge function", "database"]


@pytest.mark.parametrize("edge", [Edge(fails=True), Edge(None)], ids=["away", "knows nothing"])
def test_where_the_edge_function_has_no_answer_the_database_serves(transport: Transport, edge: Edge) -> None:
    """With the same answer."""
    kept = vault(transport)
    kept.put(TOKEN, "value")
    assert with_edge(kept, edge).get(TOKEN) == "value"


def test_there_is_no_secret_that_nobody_kept(transport: Transport) -> None:
    """None, also without any key: there is nothing to decrypt."""

    def none() -> KeyRing:
        raise NoVaultKeys("No keys.")

    assert KeyVault(transport, "dev", none).get(TOKEN) is None
    vault(transport).put(TOKEN, "value")
    with pytest.raises(NoVaultKeys):
        KeyVault(transport, "dev", none).get(TOKEN)


def test_environments_do_not_see_each_other(transport: Transport) -> None:
    """The same reference has a value in each."""
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
    """The words in upper case, joined; Google Chat's is the runbook's."""
    assert variable_of(reference) == variable


@pytest.mark.parametrize("reference", ["", "a:b", "a:b:c:d", "A:b:c", "a b:c:d", "a::c", "a:b:c\n", "1:2:3"])
def test_what_is_no_reference_is_refused(transport: Transport, reference: str) -> None:
    """By every call, before anything is asked."""
    kept = vault(Breaking(transport, ["before"]))
    for call in (kept.get, kept.remove, lambda reference: kept.put(reference, "value")):
        with pytest.raises(InvalidReference, match="provider:usage:name"):
            call(reference)


@pytest.mark.parametrize("value", ["", "a\x00b", "a\udcffb", "x" * 32_769])
def test_what_cannot_be_a_secret_is_refused_without_being_quoted(transport: Transport, value: str) -> None:
    """Nothing is kept."""
    kept = vault(transport)
    with pytest.raises(InvalidReference, match="1 to 32,768 characters") as refused:
        kept.put(TOKEN, value)
    assert not value or value not in str(refused.value)
    assert kept.secrets() == []


@given(value=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=200))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_as_it_was(transport: Transport, value: str) -> None:
    """Also line breaks, quotes and other scripts."""
    kept = vault(transport)
    kept.put(TOKEN, value)
    assert kept.get(TOKEN) == value


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
def test_every_secret_is_readable_whatever_is_interrupted(
    transport: Transport, owner: Owner, steps: list[tuple[str, int, str]], batch_size: int
) -> None:
    """Sets, new keys and rotations that break at any call; at the end one whole rotation frees the old keys."""
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


def test_a_rotation_goes_round_what_it_cannot_read(transport: Transport) -> None:
    """It is named and left as it was, and the rest is rotated."""
    lost, old, new = new_key(), new_key(), new_key()
    vault(transport, ring(lost)).put("p:u:a", "lost")
    vault(transport, ring(old)).put("p:u:b", "kept")
    done = vault(transport, ring(new, old)).rotate(batch_size=1)
    assert (done.changed, done.unreadable) == (1, ["dev p:u:a"])
    assert vault(transport, ring(new)).get("p:u:b") == "kept"
    assert vault(transport, ring(lost)).get("p:u:a") == "lost"
    with pytest.raises(VaultError, match="add that key to COGO_VAULT_KEYS"):
        vault(transport, ring(new)).get("p:u:a")


def test_nothing_that_may_be_printed_shows_a_secret(transport: Transport) -> None:
    """The vault, and what it found."""
    kept = vault(transport, variables={"QUALITY_NOTIFY_ADMIN_TOKEN": CANARY})
    assert CANARY not in repr(kept.find(TOKEN)) + repr(kept)
