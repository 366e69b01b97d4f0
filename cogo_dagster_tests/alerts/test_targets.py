"""The targets over HTTP, with receivers that respond as the vendors do."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cogo_dagster.alerts.config import build_targets
from cogo_dagster.alerts.messages import Message
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_failure
from cogo_dagster.net.webhooks import PostFailed, webhooks
from cogo_dagster.queue.retry_after import retry_after_seconds
from cogo_dagster.settings import SettingsError
from cogo_dagster_tests.alerts.messages import MESSAGE_ID, NOW, a_message, a_weekly, settings, worst
from cogo_dagster_tests.alerts.receivers import (
    Handler,
    Receiver,
    Reply,
    google_chat,
    receiving,
    signed_http,
    slack,
)

SLACK_PATH = "/services/T0/B0/s3cr3tSlackPath"
CHAT_PATH = "/v1/spaces/A/messages?key=k1&token=s3cr3tChatToken"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATHS = {"slack": ("SLACK_WEBHOOK_URL", SLACK_PATH), "googlechat": ("GOOGLE_CHAT_WEBHOOK_URL", CHAT_PATH)}
HANDLERS: dict[str, Handler] = {"slack": slack, "googlechat": google_chat, "http": signed_http(SIGNING)}

each_target = pytest.mark.parametrize("name", HANDLERS)


def given_for(name: str, receiver: Receiver) -> dict[str, str]:
    """Return the settings with the URL of a receiver."""
    variable, path = PATHS.get(name, ("WEBHOOK_URL", "/hook?token=s3cr3tHookToken"))
    return {
        "WEBHOOK_TYPE": name,
        variable: receiver.url(path),
        "WEBHOOK_SECRET": SIGNING,
        "WEBHOOK_ALLOWED_HOSTS": receiver.authority,
    }


def send(
    name: str, receiver: Receiver, message: Message | None = None, *, seconds: float = 10, **given: str
) -> Receipt:
    """Send a message to a target."""
    chosen = settings(**(given_for(name, receiver) | given))
    [target] = build_targets(chosen)

    async def sending() -> Receipt:
        async with webhooks(chosen.webhook_allowed_hosts, seconds) as sender:
            try:
                return await target.send(message or a_message(target=name), sender)
            except PostFailed as failure:
                return from_failure(failure)

    return asyncio.run(sending())


@pytest.fixture
def receiver(name: str) -> Iterator[Receiver]:
    """Run the receiver of a target."""
    with receiving(HANDLERS[name]) as receiver:
        yield receiver


@each_target
@pytest.mark.parametrize("message", [a_message(), worst(), a_weekly("# Week\n\n| a | b |\n|---|---|\n| 1 | 2 |")])
def test_a_message_is_accepted(name: str, receiver: Receiver, message: Message) -> None:
    """One request is sent and accepted; the signature of the http target verifies with the reference library."""
    assert send(name, receiver, message).outcome is DeliveryOutcome.DELIVERED
    assert len(receiver.accepted) == len(receiver.requests) == 1


@pytest.mark.parametrize("name", ["slack", "googlechat"])
@pytest.mark.parametrize(
    "message", [a_message(), worst(), a_weekly("# Week\n\n**1** of 2", facts=[{"name": "a", "value": "b"}])]
)
def test_a_rejected_message_is_sent_as_plain_text(name: str, receiver: Receiver, message: Message) -> None:
    """After a 400, the message is sent once more, without blocks or cards."""
    receiver.next.append(Reply(400, "invalid_blocks" if name == "slack" else "{}"))
    assert send(name, receiver, message).outcome is DeliveryOutcome.DELIVERED
    first, second = (request.json for request in receiver.requests)
    assert {"blocks", "cardsV2"} & set(first)
    assert not {"blocks", "cardsV2"} & set(second)
    assert message.alerts[0].title[:10] in second["text"] or len(message.alerts) > 1
    receiver.next += [Reply(400, "{}"), Reply(400, "{}")]
    assert send(name, receiver, message).outcome is DeliveryOutcome.DEAD
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("name", ["http"])
def test_the_http_target_has_no_fallback(name: str, receiver: Receiver) -> None:
    """A 400 is final after one request."""
    receiver.next.append(Reply(400, "{}"))
    receipt = send(name, receiver)
    assert (receipt.outcome, receipt.error_class, len(receiver.requests)) == (DeliveryOutcome.DEAD, "http_400", 1)


@each_target
@pytest.mark.parametrize(
    ("reply", "outcome", "error_class"),
    [
        (Reply(429, "rate_limited", {"Retry-After": "7"}), DeliveryOutcome.RETRY, "http_429"),
        (Reply(503), DeliveryOutcome.RETRY, "http_503"),
        (Reply(408), DeliveryOutcome.RETRY, "http_408"),
        (Reply(404, "nothing here"), DeliveryOutcome.DEAD, "http_404"),
    ],
)
def test_responses_are_interpreted_by_status(
    name: str, receiver: Receiver, reply: Reply, outcome: DeliveryOutcome, error_class: str
) -> None:
    """Transient errors are retried, with the delay of Retry-After; others are dead. One request is sent either way."""
    receiver.next.append(reply)
    receipt = send(name, receiver)
    assert (receipt.outcome, receipt.error_class, receipt.status) == (outcome, error_class, reply.status)
    assert receipt.retry_after_seconds == (7 if reply.status == 429 else None)
    assert len(receiver.requests) == 1


@each_target
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(name: str, receiver: Receiver, status: int) -> None:
    """A redirect is an error, whether to another host or the same: the URL is a secret."""
    with receiving(lambda _: Reply(200, "ok")) as elsewhere:
        receiver.next.append(Reply(status, "", {"Location": elsewhere.url("/stolen")}))
        receipt = send(name, receiver, WEBHOOK_ALLOWED_HOSTS=f"{receiver.authority},{elsewhere.authority}")
        receiver.next.append(Reply(status, "", {"Location": receiver.url("/again")}))
        send(name, receiver)
        assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, f"http_{status}")
        assert elsewhere.requests == []
    assert len(receiver.requests) == 2


@each_target
@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(200, drip=True)], ids=["hangs", "drips"])
def test_a_receiver_that_does_not_finish_times_out(name: str, receiver: Receiver, reply: Reply) -> None:
    """The deadline covers the whole request, also if the body arrives byte by byte."""
    receiver.down = reply
    began = time.monotonic()
    receipt = send(name, receiver, seconds=1)
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.RETRY, "timeout")
    assert time.monotonic() - began < 8


@each_target
def test_a_large_response_is_truncated(name: str, receiver: Receiver) -> None:
    """At most 64 kB of a body are read."""
    receiver.next.append(Reply(500, "x" * 3_000_000))
    assert send(name, receiver).error_class == "http_500"


@each_target
def test_a_refused_connection_is_retried(name: str, receiver: Receiver) -> None:
    """A closed port is a transient error."""
    receiver.server.server_close()
    receipt = send(name, receiver)
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.RETRY, "connection")


@each_target
def test_a_private_address_is_rejected(name: str, receiver: Receiver) -> None:
    """A private address is a permanent error, and the message names the setting that allows it."""
    receipt = send(name, receiver, WEBHOOK_ALLOWED_HOSTS="")
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, "blocked_address")
    assert "WEBHOOK_ALLOWED_HOSTS" in (receipt.message or "")
    assert receiver.requests == []


@each_target
def test_the_url_is_not_disclosed(name: str, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """The URL, which is a secret, is in no receipt and in no log message of any level."""
    with caplog.at_level(logging.DEBUG):
        receipts = [send(name, receiver)]
        for reply in (Reply(403, "invalid_token"), Reply(500), Reply(302, "", {"Location": "/x"})):
            receiver.next.append(reply)
            receipts.append(send(name, receiver))
        receiver.server.server_close()
        receipts.append(send(name, receiver))
    assert "s3cr3t" not in caplog.text
    assert "s3cr3t" not in str(receipts)


@pytest.mark.parametrize("code", ["no_active_hooks", "channel_is_archived", "no_service", "invalid_token"])
@pytest.mark.parametrize("status", [403, 404, 410, 500])
@pytest.mark.parametrize("name", ["slack"])
def test_slacks_error_code_takes_precedence_over_the_status(
    name: str, receiver: Receiver, code: str, status: int
) -> None:
    """A revoked webhook is dead whatever the status, since Slack's statuses vary."""
    receiver.next.append(Reply(status, code))
    receipt = send(name, receiver)
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, code)


@pytest.mark.parametrize("name", ["slack"])
def test_a_page_that_is_not_slacks_is_no_success(name: str, receiver: Receiver) -> None:
    """A 200 without `ok` comes from a proxy or a login page."""
    receiver.next.append(Reply(200, "<html>Please log in</html>"))
    assert send(name, receiver).error_class == "unexpected_answer"


@pytest.mark.parametrize("name", ["http"])
def test_gone_disables_the_target(name: str, receiver: Receiver) -> None:
    """A 410 has the outcome GONE, according to Standard Webhooks."""
    receiver.next.append(Reply(410))
    assert send(name, receiver).outcome is DeliveryOutcome.GONE


@pytest.mark.parametrize("name", ["http"])
def test_a_retry_keeps_its_id_and_has_a_new_signature(name: str, receiver: Receiver) -> None:
    """Receivers deduplicate by the id; timestamp and signature are those of the attempt."""
    for _ in range(2):
        assert send(name, receiver).outcome is DeliveryOutcome.DELIVERED
    assert {request.headers["webhook-id"] for request in receiver.requests} == {f"msg_{MESSAGE_ID.hex}"}
    assert abs(int(receiver.requests[0].headers["webhook-timestamp"]) - time.time()) < 60
    document = receiver.requests[0].json
    assert document["type"] == "alert.firing"
    assert document["data"]["alerts"][0]["new_count"] == 12


@pytest.mark.parametrize("name", ["http"])
def test_without_a_secret_requests_are_unsigned(name: str, receiver: Receiver) -> None:
    """The id and timestamp headers are sent without a signature."""
    receiver.handler = lambda _: Reply(200)
    send(name, receiver, WEBHOOK_SECRET="")
    assert "webhook-signature" not in receiver.requests[0].headers
    assert "webhook-id" in receiver.requests[0].headers


@pytest.mark.parametrize("name", ["googlechat"])
def test_chat_threads_by_fingerprint(name: str, receiver: Receiver) -> None:
    """The request replies to the fingerprint's thread or starts it, and its id deduplicates repeated requests."""
    send(name, receiver)
    [request] = receiver.requests
    assert request.query["messageReplyOption"] == "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    assert request.query["requestId"] == MESSAGE_ID.hex
    assert request.query["token"] == "s3cr3tChatToken"
    assert request.json["thread"] == {"threadKey": "0" * 16}


@pytest.mark.parametrize("name", ["googlechat"])
def test_an_error_of_google_chat_has_a_remedy(name: str, receiver: Receiver) -> None:
    """The error class is Google's error status, and the message names the setting to change."""
    body = json.dumps({"error": {"code": 404, "status": "NOT_FOUND", "message": "Space not found"}})
    receiver.next.append(Reply(404, body))
    receipt = send(name, receiver)
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, "not_found")
    assert "GOOGLE_CHAT_WEBHOOK_URL" in (receipt.message or "")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"WEBHOOK_TYPE": "slack"}, "SLACK_WEBHOOK_URL is not set"),
        ({"WEBHOOK_TYPE": "http"}, "WEBHOOK_URL is not set"),
        ({"WEBHOOK_TYPE": "googlechat"}, "GOOGLE_CHAT_WEBHOOK_URL is not set"),
        ({"WEBHOOK_TYPE": "github"}, "GITHUB_OWNER is not set"),
        ({"WEBHOOK_TYPE": "github", "GITHUB_OWNER": "o", "GITHUB_REPO": "r"}, "GITHUB_TOKEN is not set"),
        ({"WEBHOOK_TYPE": "http", "WEBHOOK_URL": "ftp://x"}, "WEBHOOK_URL is not a URL"),
        ({"WEBHOOK_TYPE": "http", "WEBHOOK_URL": "http://x", "WEBHOOK_SECRET": "abc"}, "WEBHOOK_SECRET is not"),
        ({"WEBHOOK_TYPE": "http", "WEBHOOK_URL": "http://x", "WEBHOOK_ALLOWED_HOSTS": "a b"}, "WEBHOOK_ALLOWED_HOSTS"),
    ],
)
def test_an_invalid_configuration_is_an_error_at_start(given: dict[str, Any], text: str) -> None:
    """The message names the variable, without its value."""
    with pytest.raises(SettingsError, match=text) as raised:
        build_targets(settings(**given))
    assert "ftp" not in str(raised.value)


def test_chats_url_comes_from_the_environment_or_the_vault() -> None:
    """The environment takes precedence, and the vault is read when the URL is needed."""
    looked_up: list[str] = []

    def vault(reference: str) -> str | None:
        looked_up.append(reference)
        return "https://chat.example.com/vault"

    given = {"WEBHOOK_TYPE": "googlechat", "GOOGLE_CHAT_WEBHOOK_URL": "https://chat.example.com/environment"}
    [by_variable] = build_targets(settings(**given), vault)
    [by_vault] = build_targets(settings(WEBHOOK_TYPE="googlechat"), vault)
    assert looked_up == []
    assert by_variable.address_digest != by_vault.address_digest
    assert looked_up == ["googlechat:notify:webhook_url"]


def test_targets_are_built_once_and_in_order() -> None:
    """WEBHOOK_TYPE is a comma-separated list; duplicates are ignored."""
    given = {"SLACK_WEBHOOK_URL": "https://a.example", "WEBHOOK_URL": "https://b.example"}
    chosen = build_targets(settings(WEBHOOK_TYPE="slack, http,slack", **given))
    assert [target.name for target in chosen] == ["slack", "http"]


def test_retry_after_may_be_a_date() -> None:
    """Retry-After may be a date; an unreadable value is ignored."""
    assert retry_after_seconds({"retry-after": "Wed, 25 Nov 2026 03:46:00 GMT"}, NOW) == 60
    assert retry_after_seconds({"retry-after": "soon"}) is None
    assert retry_after_seconds({}) is None
