// graphile-worker with the fast settings of its documentation: batches of 500, completions in batches.

import { main, requirePeer } from "./program.mjs";

const { Logger, makeWorkerUtils, run, runMigrations } = requirePeer("graphile-worker");
const { Pool } = requirePeer("pg");

const CONCURRENT_JOBS = 10;
const LOCAL_QUEUE = 500;
const quiet = new Logger(() => () => {});

class Graphile {
  async connect(dsn, mode) {
    this.dsn = dsn;
    if (mode === "worker" || mode === "setup") return;
    this.utils = await makeWorkerUtils({ connectionString: dsn, logger: quiet });
    await this.utils.withPgClient((client) => client.query("select 1"));
  }

  async setup() {
    await runMigrations({ connectionString: this.dsn, logger: quiet });
  }

  async enqueue(numbers) {
    await this.utils.addJobs(numbers.map((n) => ({ identifier: "noop", payload: { n } })));
  }

  async enqueueOne(n) {
    await this.utils.addJob("noop", { n });
  }

  async work(handler, go) {
    const pgPool = new Pool({ connectionString: this.dsn, max: CONCURRENT_JOBS + 2 });
    pgPool.on("error", () => {});
    await Promise.all(Array.from({ length: 4 }, () => pgPool.query("select 1")));
    await go();
    const preset = { worker: { localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, concurrentJobs: CONCURRENT_JOBS } };
    const runner = await run({
      pgPool, preset, logger: quiet, concurrency: CONCURRENT_JOBS, noHandleSignals: true,
      taskList: { noop: (payload) => handler(payload.n) },
    });
    await runner.promise;
  }
}

await main(new Graphile());
