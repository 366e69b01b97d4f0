// The common part of the Node.js peers; see program.py for the protocol with the harness.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const TICK_MS = 10;
const WARM_UP_CALLS = 20;

/** Loads a peer's package from the working folder. */
export const requirePeer = createRequire(`${process.cwd()}/`);

const printLine = (...parts) => process.stdout.write(parts.join(" ") + "\n");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const monotonic = () => Number(process.hrtime.bigint());

async function work(peer, options) {
  let count = 0;
  const started = options.note_starts ? {} : null;

  const handler = async (number) => {
    if (started && !(number in started)) started[number] = monotonic();
    if (options.sleep_seconds) await sleep(options.sleep_seconds * 1000);
    count += 1;
    if (count === options.expected) printLine("RAN", count);
  };

  const go = async () => {
    printLine("READY");
    const lines = createInterface({ input: process.stdin });
    await new Promise((done) => lines.once("line", done));
    lines.on("close", () => {
      if (started) printLine("STARTED", JSON.stringify(started));
      process.exit(0);
    });
    let reported = 0;
    setInterval(() => {
      if (count !== reported) printLine("RAN", (reported = count));
    }, TICK_MS);
  };

  await peer.work(handler, go);
}

const measures = {
  async setup(peer) {
    await peer.setup();
    return {};
  },
  async bulk(peer, { jobs }) {
    const numbers = Array.from({ length: jobs }, (_, number) => number);
    const startedAt = monotonic();
    await peer.enqueue(numbers);
    return { seconds: (monotonic() - startedAt) / 1e9 };
  },
  async single(peer, { jobs }) {
    for (let number = 0; number < WARM_UP_CALLS; number++) await peer.enqueueOne(number);
    const startedAt = monotonic();
    for (let number = 0; number < jobs; number++) await peer.enqueueOne(number);
    return { seconds: (monotonic() - startedAt) / 1e9 };
  },
  async pickup(peer, { jobs, pause_seconds }) {
    const called = [], committed = [];
    for (let number = 0; number < jobs; number++) {
      await sleep(pause_seconds * 1000);
      called.push(monotonic());
      await peer.enqueueOne(number);
      committed.push(monotonic());
    }
    return { called, committed };
  },
};

/** Runs the mode given on the command line. */
export async function main(peer) {
  const [mode, options] = [process.argv[2], JSON.parse(process.argv[3])];
  await peer.connect(process.env.BENCHMARK_DSN, mode);
  if (mode === "worker") {
    await work(peer, options);
  } else {
    printLine("RESULT", JSON.stringify(await measures[mode](peer, options)));
    process.exit(0);
  }
}
