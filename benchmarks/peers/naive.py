"""cogo's SQL with one job at a time: `claim_one_job`, then `complete_job`, on one connection."""

import time
from typing import Final

import psycopg

from benchmarks.peers import program
from benchmarks.peers.cogo import Cogo

POLL_SECONDS: Final = 0.2


class Naive(Cogo):
    """The same queue, with the calls of an old worker."""

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Claim and complete jobs one at a time."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            await go()
            while True:
                row = connection.execute("select public.claim_one_job(null, 'naive')").fetchone()
                job = row[0] if row else None
                if job is None:
                    time.sleep(POLL_SECONDS)  # noqa: ASYNC251 - sequential on purpose
                    continue
                await handler(job["payload"]["n"])
                connection.execute("select public.complete_job(%s, %s)", (job["id"], job["lease_token"]))


if __name__ == "__main__":
    program.main(Naive())
