"""The lease protocol as a transition system small enough to explore all orders of its steps.

Two workers, two jobs, one database. A call is executed and answered, executed with its reply lost, or not executed; a
call without a reply is repeated. A lease may expire at any moment, even a renewed one, which covers clock drift.
`explore` visits all states within a number of steps and returns a path to the first one that violates an invariant.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules of the protocol; the defaults are the real ones, and each deviation violates an invariant.

    Attributes:
        fenced: Only the holder of the token can settle.
        counted_at_claim: An attempt is counted when it begins; otherwise when it fails.
        refund_after_crash: A worker that restarts after a crash requeues what it held, without counting the attempt.
        claim_repeatable: A claim repeated with its token returns the jobs it leased.
        ends_claims: A token whose lease was recovered claims nothing more.
        settle_repeatable: A settlement repeated with its token returns the first result.
        takes_running: Recovery takes leases that have not expired.
    """

    fenced: bool = True
    counted_at_claim: bool = True
    refund_after_crash: bool = False
    claim_repeatable: bool = True
    ends_claims: bool = True
    settle_repeatable: bool = True
    takes_running: bool = False


class Job(NamedTuple):
    """A row and its history.

    Attributes:
        claims: Attempts that began, by token.
        taken: Whether an unexpired lease was recovered.
        successes: Tokens of successful executions.
        settled_by: The token of the recorded success.
    """

    status: str = "queued"
    token: int = 0
    expired: bool = False
    attempts: int = 0
    claims: tuple[int, ...] = ()
    ended: frozenset[int] = frozenset()
    taken: bool = False
    successes: frozenset[int] = frozenset()
    settled_by: int = 0


class Worker(NamedTuple):
    """A worker and the job it claims, runs or settles.

    Attributes:
        phase: `idle`, `claiming` (no reply yet), `running`, `settling` (no reply yet).
        job: Index of the job it holds; -1 for none.
        reported_lost: Whether its settlement was rejected although it was the first one with a valid token.
    """

    phase: str = "idle"
    token: int = 0
    job: int = -1
    reported_lost: bool = False


class State(NamedTuple):
    """The state of the system; `next_token` numbers the claims."""

    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    next_token: int = 1


@dataclass(frozen=True, slots=True)
class Explored:
    """The result of an exploration.

    Attributes:
        states: Number of distinct states.
        broken: The violated invariant, or None.
        path: The steps that lead to the violation.
    """

    states: int
    broken: str | None = None
    path: tuple[str, ...] = field(default=())


def explore(protocol: Protocol, depth: int, jobs: int = 2, workers: int = 2) -> Explored:
    """Visit every state within `depth` steps, breadth first, so that a path to a violation is a shortest one."""
    first = State((Job(),) * jobs, (Worker(),) * workers)
    seen: dict[State, tuple[State, str] | None] = {first: None}
    waiting = deque([(first, 0)])
    while waiting:
        state, steps = waiting.popleft()
        if broken := broken_law(state):
            return Explored(len(seen), broken, _path(seen, state))
        if steps == depth:
            continue
        for name, after in successors(protocol, state):
            if after not in seen:
                seen[after] = (state, name)
                waiting.append((after, steps + 1))
    return Explored(len(seen))


def broken_law(state: State) -> str | None:
    """Return the first invariant that a state violates."""
    tokens = [job.token for job in state.jobs if job.status == "running"]
    if len(set(tokens)) < len(tokens):
        return "one claim leased two jobs, and its worker got one"
    if any(worker.reported_lost for worker in state.workers):
        return "a worker lost a lease that it held"
    return next((law for job in state.jobs for law, breaks in LAWS.items() if breaks(job)), None)


LAWS: Final[dict[str, Callable[[Job], bool]]] = {
    "attempts exceed their limit": lambda job: job.attempts > MAX_ATTEMPTS,
    "a job that crashes its workers runs forever": lambda job: len(job.claims) > MAX_ATTEMPTS,
    "a token was used for two attempts": lambda job: len(set(job.claims)) < len(job.claims),
    "a success was recorded for an execution that did not succeed": lambda job: (
        bool(job.settled_by) and job.settled_by not in job.successes
    ),
    "a stale worker's success was recorded": lambda job: bool(job.settled_by) and job.settled_by != job.claims[-1],
    "an unexpired lease was recovered": lambda job: job.taken,
}


def successors(protocol: Protocol, state: State) -> Iterator[tuple[str, State]]:
    """Yield every possible step with its name and the state after it."""
    for index, worker in enumerate(state.workers):
        for name, after in _WORKER_STEPS[worker.phase](protocol, state, index):
            yield f"worker {index} {name}", after
        if worker.phase != "idle":
            yield f"worker {index} crashes", _crash(protocol, state, index)
    for index, job in enumerate(state.jobs):
        if job.status == "running" and not job.expired:
            yield f"lease of job {index} expires", _with_job(state, index, job._replace(expired=True))
        if job.status == "running" and (job.expired or protocol.takes_running):
            yield f"job {index} is recovered", _with_job(state, index, _recovered(job))


def _idle(protocol: Protocol, state: State, at: int) -> Iterator[tuple[str, State]]:
    claiming = Worker("claiming", state.next_token)
    yield "begins to claim", _with_worker(state._replace(next_token=state.next_token + 1), at, claiming)


def _claiming(protocol: Protocol, state: State, at: int) -> Iterator[tuple[str, State]]:
    """Execute the claim with or without its reply; a lost request equals one that is not sent yet."""
    worker = state.workers[at]
    held = [i for i, job in enumerate(state.jobs) if job.status == "running" and job.token == worker.token]
    if held and protocol.claim_repeatable:
        yield "repeats its claim", _with_worker(state, at, worker._replace(phase="running", job=held[0]))
        return
    if protocol.ends_claims and any(worker.token in job.ended for job in state.jobs):
        yield "learns that its claim has ended", _with_worker(state, at, Worker())
        return
    for index, job in enumerate(state.jobs):
        if job.status == "queued":
            leased = job._replace(
                status="running",
                token=worker.token,
                expired=False,
                attempts=job.attempts + protocol.counted_at_claim,
                claims=(*job.claims, worker.token),
            )
            after = _with_job(state, index, leased)
            yield f"claims job {index}", _with_worker(after, at, worker._replace(phase="running", job=index))
            yield f"claims job {index}, reply lost", after


def _running(protocol: Protocol, state: State, at: int) -> Iterator[tuple[str, State]]:
    worker = state.workers[at]
    job = state.jobs[worker.job]
    done = job._replace(successes=job.successes | {worker.token})
    yield "succeeds", _with_worker(_with_job(state, worker.job, done), at, worker._replace(phase="settling"))
    if _may_act(protocol, job, worker):
        renewed = _with_job(state, worker.job, job._replace(expired=False))
        yield "renews", renewed
        failed = _with_job(state, worker.job, _failed(protocol, job))
        yield "fails", _with_worker(failed, at, Worker())
        yield "stops in order", _with_worker(_with_job(state, worker.job, _released(job)), at, Worker())
    else:
        yield "learns that its lease is lost", _with_worker(state, at, Worker())


def _settling(protocol: Protocol, state: State, at: int) -> Iterator[tuple[str, State]]:
    worker = state.workers[at]
    job = state.jobs[worker.job]
    if _may_act(protocol, job, worker):
        done = job._replace(status="succeeded", token=worker.token, expired=False, settled_by=worker.token)
        after = _with_job(state, worker.job, done)
        yield "settles", _with_worker(after, at, Worker())
        yield "settles, reply lost", after
    elif job.settled_by == worker.token:
        reported_lost = not protocol.settle_repeatable
        yield "repeats its settlement", _with_worker(state, at, Worker(reported_lost=reported_lost))
    else:
        yield "is refused", _with_worker(state, at, Worker())


_WORKER_STEPS: Final[dict[str, Callable[[Protocol, State, int], Iterator[tuple[str, State]]]]] = {
    "idle": _idle,
    "claiming": _claiming,
    "running": _running,
    "settling": _settling,
}


def _may_act(protocol: Protocol, job: Job, worker: Worker) -> bool:
    return job.status == "running" and (job.token == worker.token or not protocol.fenced)


def _crash(protocol: Protocol, state: State, at: int) -> State:
    worker = state.workers[at]
    if protocol.refund_after_crash and worker.job >= 0:
        job = state.jobs[worker.job]
        if job.status == "running" and job.token == worker.token:
            back = job._replace(status="queued", token=0, attempts=max(job.attempts - 1, 0))
            state = _with_job(state, worker.job, back)
    return _with_worker(state, at, Worker())


def _recovered(job: Job) -> Job:
    status = "failed" if job.attempts >= MAX_ATTEMPTS else "queued"
    ended = job.ended | {job.token}
    return job._replace(status=status, token=0, expired=False, ended=ended, taken=job.taken or not job.expired)


def _failed(protocol: Protocol, job: Job) -> Job:
    attempts = job.attempts + (not protocol.counted_at_claim)
    status = "failed" if attempts >= MAX_ATTEMPTS else "queued"
    return job._replace(status=status, token=0, attempts=attempts, expired=False)


def _released(job: Job) -> Job:
    """Requeue at a graceful shutdown: the attempt is not counted and removed from the history."""
    return job._replace(
        status="queued", token=0, attempts=max(job.attempts - 1, 0), claims=job.claims[:-1], expired=False
    )


def _with_job(state: State, index: int, job: Job) -> State:
    return state._replace(jobs=(*state.jobs[:index], job, *state.jobs[index + 1 :]))


def _with_worker(state: State, index: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:index], worker, *state.workers[index + 1 :]))


def _path(seen: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    names = []
    while (step := seen[state]) is not None:
        state, name = step
        names.append(name)
    return tuple(reversed(names))


BROKEN: Final = {
    "no fence": Protocol(fenced=False),
    "attempts are counted late": Protocol(counted_at_claim=False),
    "a crash refunds the attempt": Protocol(refund_after_crash=True),
    "a claim cannot be repeated": Protocol(claim_repeatable=False),
    "a claim outlives its lease": Protocol(ends_claims=False),
    "a settlement cannot be repeated": Protocol(settle_repeatable=False),
    "an unexpired lease is recovered": Protocol(takes_running=True),
}
