// pg-boss: ten fetchers of batches of 100, LISTEN/NOTIFY, no pause while batches are full.

import { main, requirePeer } from "./program.mjs";

const { PgBoss } = requirePeer("pg-boss");

const BATCH = 100;
const FETCHERS = 10;
const QUEUE = "noop";

class Boss {
  async connect(dsn) {
    this.boss = new PgBoss({ connectionString: dsn, useListenNotify: true });
    this.boss.on("error", (error) => console.error(error));
    await this.boss.start();
  }

  async setup() {
    await this.boss.createQueue(QUEUE, { notify: true });
    await this.boss.stop({ graceful: false });
  }

  async enqueue(numbers) {
    await this.boss.insert(QUEUE, numbers.map((n) => ({ data: { n } })));
  }

  async enqueueOne(n) {
    await this.boss.send(QUEUE, { n });
  }

  async work(handler, go) {
    await go();
    const options = { batchSize: BATCH, localConcurrency: FETCHERS, burstWhenBatchFull: true };
    await this.boss.work(QUEUE, options, async (jobs) => {
      for (const job of jobs) await handler(job.data.n);
    });
  }
}

await main(new Boss());
