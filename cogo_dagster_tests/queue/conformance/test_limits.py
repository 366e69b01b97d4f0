"""Limits of arguments, which hold for every caller, including plain SQL."""

import json
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Job, JobError, Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION
from cogo_dagster_tests.queue.steps import a_worker, look, register, running_job, settle

DEEPEST = 100


def nested(levels: int) -> str:
    """Return a payload with this many levels of nesting, itself included."""
    return '{"d": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def a_number(digits: int) -> str:
    """Return a payload with a number of this many digits."""
    return '{"n": ' + "7" * digits + "}"


def enqueue_text(owner: Owner, payload: str) -> Any:
    """Enqueue over plain SQL a payload that Python may not be able to parse."""
    with owner.transaction():
        owner.execute("set local role service_role")
        row = owner.execute(
            "select public.enqueue_jobs("
            "jsonb_build_array(jsonb_build_object('type', 'browser', 'payload', %s::jsonb)))",
            (payload,),
        ).fetchone()
    assert row is not None
    return row[0]["jobs"][0]["job_id"]


@BY_VERSION
@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        nested(DEEPEST),
        a_number(300),
        '{"n": -0.' + "3" * 299 + "}",
        json.dumps({"text": "1" * 5000}),
        json.dumps({"text": "[" * 5000}),
        json.dumps({"text": "x" * 999_000}),
        json.dumps({"many": list(range(20_000))}),
    ],
    ids=["empty", "deep", "digits", "fraction", "digits-in-text", "brackets-in-text", "long", "wide"],
)
def test_a_payload_within_the_limits_is_taken(owner: Owner, payload: str) -> None:
    """A payload may have the maximum number of digits, levels and bytes; the content of strings does not count."""
    job_id = enqueue_text(owner, payload)
    kept = owner.execute("select payload = %s::jsonb from public.jobs where id = %s", (payload, job_id)).fetchone()
    assert kept == (True,)


@BY_VERSION
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (nested(DEEPEST + 1), "The payload is nested deeper than 100."),
        (nested(3000), "The payload is nested deeper than 100."),
        ('{"d": ' + '{"d": ' * 100 + "1" + "}" * 101, "The payload is nested deeper than 100."),
        ('{"n": 1e5000}', "The payload has a number of more than 300 digits."),
        ('{"n": -1e5000}', "The payload has a number of more than 300 digits."),
        ('{"n": 1e-5000}', "The payload has a number of more than 300 digits."),
        ('{"a": [{"n": 1e300}]}', "The payload has a number of more than 300 digits."),
        (a_number(301), "The payload has a number of more than 300 digits."),
        ('{"n": [' + ",".join(["1e131071"] * 20_000) + "]}", "The payload has a number of more than 300 digits."),
        ('{"t": "' + "x" * 1_000_000 + '"}', "The payload has 1000009 bytes, and at most 1000000 are allowed."),
        ('{"t": "' + r"\u0001" * 170_000 + '"}', "The payload has 1020009 bytes, and at most 1000000 are allowed."),
        ("[]", "The payload must be a JSON object."),
    ],
    ids=[
        "deep",
        "deeper",
        "objects",
        "1e5000",
        "negative",
        "small",
        "exponent",
        "digits",
        "many",
        "long",
        "escaped",
        "array",
    ],
)
def test_a_payload_beyond_the_limits_is_rejected(owner: Owner, payload: str, message: str) -> None:
    """The call fails with a message, and nothing is written."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the driver's own class
        enqueue_text(owner, payload)
    assert getattr(caught.value, "sqlstate", None) == "CQ005"
    assert str(caught.value).splitlines()[0] == message
    assert owner.execute("select count(*) from public.jobs").fetchone() == (0,)


def test_the_limit_of_bytes_is_stored_in_the_database(transport: Transport, owner: Owner) -> None:
    """It holds for every caller; null leaves it unchanged, and it has bounds itself."""
    assert transport.call("set_payload_limit", {"max_bytes": 2000}) == {"max_payload_bytes": 2000, "changed": True}
    try:
        assert transport.call("set_payload_limit", {}) == {"max_payload_bytes": 2000, "changed": False}
        enqueue_text(owner, json.dumps({"t": "x" * 1900}))
        with pytest.raises(Exception, match="has 2009 bytes, and at most 2000 are allowed"):
            enqueue_text(owner, json.dumps({"t": "x" * 2000}))
        with pytest.raises(InvalidArgument, match="max_bytes must be 1000 to 100000000"):
            transport.call("set_payload_limit", {"max_bytes": 999})
    finally:
        transport.call("set_payload_limit", {"max_bytes": 1_000_000})


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"type": "a" * 1_000_000}, "must be lower-case words"),
        ({"executor_id": "x" * 201}, "executor id must have 1 to 200 characters"),
        ({"executor_id": "a\x1b[31m"}, "no control characters"),
        ({"idempotency_key": "x" * 501}, "idempotency key must have 1 to 500"),
        ({"timeout_seconds": "NaN"}, "timeout_seconds must be"),
        ({"run_in_seconds": "Infinity"}, "run_in_seconds must be"),
    ],
)
def test_every_other_text_and_number_of_a_job_is_bounded(transport: Transport, job: Json, message: str) -> None:
    """The message does not contain the whole value."""
    with pytest.raises(InvalidArgument, match=message) as caught:
        transport.call("enqueue_jobs", {"jobs": [{"type": "browser"} | job]})
    assert len(str(caught.value)) < 300


def test_a_result_beyond_the_limits_is_rejected(transport: Transport, queue: Queue) -> None:
    """Nothing is written, and the attempt can still be settled with another result."""
    job = running_job(queue)
    with pytest.raises(InvalidArgument, match="The result has 1000009 bytes"):
        settle(queue, job, result={"t": "x" * 1_000_000})
    deep = {"d": json.loads("[" * 100 + "]" * 100)}
    with pytest.raises(InvalidArgument, match="The result is nested deeper than 100"):
        transport.call("settle_jobs", {"settlements": [_success(job) | {"result": deep}]})
    assert settle(queue, job, result={"t": "x" * 100_000}).status == "ok"


@pytest.mark.parametrize(
    "error",
    [
        {"class": "c" * 1_000_000, "message": "m" * 1_000_000, "detail": "d" * 1_000_000, "retryable": False},
        {"class": "deep", "message": "", "more": json.loads("[" * 150 + "]" * 150)},
        {"class": {"a": "b"}, "message": ["c"]},
        "a text",
        [1, 2],
        7,
    ],
    ids=["long", "deep", "odd", "text", "array", "number"],
)
def test_an_error_of_any_form_and_length_ends_the_job(transport: Transport, queue: Queue, error: Json) -> None:
    """The error is truncated so that the outcome is stored; the class fits its index."""
    job = running_job(queue)
    failure = _success(job) | {"outcome": "failed", "retryable": False, "error": error}
    assert transport.call("settle_jobs", {"settlements": [failure]}) == {"statuses": ["ok"], "job_statuses": ["failed"]}
    kept = look(queue, job)["error"]
    assert len(json.dumps(kept)) < 120_000
    if isinstance(kept.get("class"), str):
        assert len(kept["class"]) <= 100
    assert len(queue.list_dlq()) == 1


def test_an_ordinary_error_is_stored_unchanged(queue: Queue) -> None:
    """Every key of the error is kept."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=JobError("timeout", "m" * 2000, detail="d" * 20_000))
    error = look(queue, job)["error"]
    assert (error["class"], len(error["message"]), len(error["detail"])) == ("timeout", 2000, 20_000)


@pytest.mark.parametrize("run_seconds", ["NaN", "Infinity", -1, 1e300])
def test_an_invalid_run_time_is_omitted(transport: Transport, queue: Queue, run_seconds: Json) -> None:
    """The outcome is stored all the same."""
    job = running_job(queue)
    settled = transport.call("settle_jobs", {"settlements": [_success(job) | {"run_seconds": run_seconds}]})
    assert settled["statuses"] == ["ok"]
    assert look(queue, job)["run_seconds"] is None


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"name": "n" * 256}, "name of an artifact must have 1 to 255"),
        ({"name": ""}, "name of an artifact must have 1 to 255"),
        ({"content_type": "t" * 256}, "content type"),
        ({"cache_key": "k" * 501}, "cache key"),
        ({"size_bytes": -1}, "size_bytes must be"),
        ({"extension": "e" * 11}, "extension"),
        ({"sha256": "a"}, "64 hexadecimal"),
    ],
)
def test_an_artifact_with_unprintable_fields_is_rejected(queue: Queue, file: Json, message: str) -> None:
    """The call fails with a message, and the attempt continues."""
    job = running_job(queue)
    least = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    with pytest.raises(InvalidArgument, match=message):
        queue.create_artifacts(job, [least | file])


@pytest.mark.parametrize(
    "metrics",
    [
        {"counters": {"claimed": "many"}},
        {"counters": {"claimed": -1}},
        {"counters": {"claimed": None}},
        {"counters": {"claimed": 1e300}},
        {"counters": {"claimed": {}}},
        {"counters": ["claimed"]},
        {"counters": {"c" * 101: 1}},
        {"latency": {"bounds_seconds": [1], "counts": "none", "sum_seconds": 1}},
        {"latency": {"bounds_seconds": [1], "counts": [1, "x"], "sum_seconds": 1}},
        {"latency": {"bounds_seconds": [1], "counts": [1, 2]}},
        {"other": "x" * 100_001},
        "metrics",
    ],
)
def test_a_heartbeat_with_malformed_metrics_is_rejected(transport: Transport, queue: Queue, metrics: Json) -> None:
    """Malformed metrics would be added to the sums of all workers."""
    worker = a_worker()
    register(queue, worker)
    with pytest.raises(InvalidArgument):
        transport.call("record_heartbeat", {"instance_id": str(worker.instance_id), "running": 0, "metrics": metrics})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"worker_id": "a\x1b[31mb"}, "worker_id must have 1 to 200 characters and no control"),
        ({"worker_id": "w" * 201}, "worker_id must have 1 to 200"),
        ({"executor_id": "a\nb"}, "executor_id must have 1 to 200"),
        ({"heartbeat_seconds": "Infinity"}, "heartbeat_seconds"),
        ({"heartbeat_seconds": "NaN"}, "heartbeat_seconds"),
        ({"heartbeat_seconds": 0}, "heartbeat_seconds"),
        ({"concurrency": -1}, "concurrency"),
        ({"families": "browser"}, "families"),
        ({"code_version": "v" * 201}, "code_version"),
        ({"device": {"hostname": "h" * 256}}, "hostname"),
        ({"device": {"x": "y" * 20_000}}, "device"),
        ({"device": []}, "device"),
    ],
)
def test_a_worker_with_unprintable_fields_is_rejected(transport: Transport, wrong: Json, message: str) -> None:
    """Lists, pages and metrics show every worker."""
    worker = {"instance_id": str(uuid4()), "worker_id": "w", "families": ["browser"]}
    with pytest.raises(InvalidArgument, match=message):
        transport.call("register_worker", worker | wrong)


@pytest.mark.parametrize("function", ["claim_jobs", "claim_chosen_jobs"])
def test_a_claim_with_an_unprintable_worker_id_is_rejected(transport: Transport, function: str) -> None:
    """The job would store the worker's ID."""
    asked: Json = {"families": []} if function == "claim_jobs" else {"job_ids": []}
    with pytest.raises(InvalidArgument, match="worker_id must have"):
        transport.call(function, {"claim_id": str(uuid4()), "worker_id": "a\x1bb"} | asked)


def _success(job: Job) -> dict[str, Json]:
    return {"job_id": str(job.id), "lease_token": str(job.lease_token), "outcome": "succeeded"}
