import { setMaxListeners } from 'node:events';
import type { JsMsg } from '@nats-io/jetstream';
import { BrokerError, CancelledError, toWire } from '../protocol/errors.js';
import { isFinished, type Job } from '../protocol/jobs.js';
import { listen } from '../protocol/listen.js';
import { parseJson } from '../protocol/parse.js';
import { submissionSchema, type Submission } from '../protocol/services.js';
import type { Farm } from './farm.js';
import { acknowledgeWithinMs } from './job-store.js';
import { storeResult } from './results.js';
import { runJob } from './run-job.js';
import type { Stores } from './stores.js';

/** A job that was taken this often without an end has brought down its coordinators: it fails. */
const maximumAttempts = 5;
/** After which a job that this coordinator could not go on with may be taken again. */
const returnAfterMs = 1000;

/** Takes jobs from the queue, one at a time, until told to stop. */
export class JobLoop {
  #farm: Farm;
  #stores: Stores;
  #say: (line: string) => void;
  #stopping = false;
  #current: { id: string; abort: AbortController } | undefined;
  #operator: string | undefined;
  #ended: Promise<void> | undefined;

  constructor(farm: Farm, stores: Stores, say: (line: string) => void) {
    this.#farm = farm;
    this.#stores = stores;
    this.#say = say;
  }

  get job(): string | undefined {
    return this.#current?.id;
  }

  get operators(): string[] {
    return this.#operator ? [this.#operator] : [];
  }

  start(): void {
    this.#ended = this.#loop();
  }

  /** Gives the job under way back to the queue and resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#current?.abort.abort(new ReturnedError('its coordinator stopped'));
    await this.#ended;
  }

  cancel(id: string): void {
    if (this.#current?.id === id) this.#current.abort.abort(new CancelledError(`job ${id} was cancelled`));
  }

  async #loop(): Promise<void> {
    while (!this.#stopping)
      try {
        const message = await this.#stores.jobs.queue.next({ expires: 1000 });
        if (message) await this.#take(message);
      } catch (error) {
        if (this.#stopping || this.#farm.nc.isClosed()) return;
        this.#say(`the queue does not answer: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
  }

  async #take(message: JsMsg): Promise<void> {
    const { nc } = this.#farm;
    const working = setInterval(() => nc.isClosed() || message.working(), acknowledgeWithinMs / 3);
    try {
      const submission = readSubmission(message);
      const job = submission && (await this.#stores.jobs.ensure(submission));
      if (!job || isFinished(job.state)) message.term();
      else if (await this.#run(job)) await message.ackAck();
      else message.nak(this.#stopping ? 0 : returnAfterMs);
    } finally {
      clearInterval(working);
    }
  }

  /** Runs the job to its end; false where it should go to another coordinator. */
  async #run(queued: Job): Promise<boolean> {
    const { nc, names } = this.#farm;
    const abort = new AbortController();
    setMaxListeners(0, abort.signal);
    const { id } = queued;
    this.#current = { id, abort };
    const cancelled = listen(nc, names.job(id).cancel, () => this.cancel(id));
    try {
      if (this.#stopping) throw new ReturnedError('its coordinator stopped');
      const message = await this.#work(queued, abort.signal);
      await this.#finish(id, { state: 'done', message });
    } catch (thrown) {
      const fault: unknown = abort.signal.aborted ? abort.signal.reason : thrown;
      if (nc.isClosed()) return false;
      if (fault instanceof ReturnedError || fault instanceof BrokerError) {
        const message = `${fault.message}; waits to be taken again`;
        const attempts = fault instanceof ReturnedError ? { attempts: queued.attempts } : {};
        await this.#move(id, { state: 'queued', message, ...attempts });
        return false;
      }
      const error = toWire(fault);
      const state = fault instanceof CancelledError ? 'cancelled' : 'failed';
      await this.#finish(id, { state, message: error.message, error });
    } finally {
      cancelled.unsubscribe();
      this.#current = undefined;
    }
    return true;
  }

  /** Returns what to say of the result, which is stored. */
  async #work({ id, attempts, started }: Job, signal: AbortSignal): Promise<string> {
    const { nc, names } = this.#farm;
    if (attempts >= maximumAttempts)
      throw new Error(
        `the job was tried ${attempts} times without an end: each time its coordinator was lost`,
      );
    if (this.#farm.workers().length === 0) {
      await this.#move(id, { state: 'waiting', message: 'no worker is there: start one with `ihvp worker`' });
      await this.#farm.atLeastOne(signal);
    }
    const job = await this.#move(id, {
      state: 'running',
      message: `runs on ${this.#farm.workers().length} worker(s)`,
      attempts: attempts + 1,
      started: started ?? new Date().toISOString(),
    });
    signal.throwIfAborted();
    const { report, vectors } = await runJob({
      job,
      farm: this.#farm,
      stores: this.#stores,
      signal,
      publish: (progress) => nc.publish(names.job(id).progress, JSON.stringify(progress)),
      onOperator: (operator) => (this.#operator = operator),
    });
    await storeResult(this.#stores.results, report, vectors);
    return `${report.status}: ${report.advice}`;
  }

  #finish(id: string, change: Partial<Job>): Promise<Job> {
    return this.#move(id, { ...change, finished: new Date().toISOString() });
  }

  /** A record that is finished, by another coordinator or a client, stays as it is. */
  async #move(id: string, change: Partial<Job>): Promise<Job> {
    const { coordinator } = this.#farm;
    const job = await this.#stores.jobs.change(id, (current) =>
      isFinished(current.state) ? undefined : { ...current, coordinator, ...change },
    );
    this.#say(`job ${id} is ${job.state}: ${job.message}`);
    if (job.state !== change.state || job.cancelRequested) this.cancel(id);
    return job;
  }
}

/** Garbage in the queue is dropped: nobody waits for it. */
function readSubmission(message: JsMsg): Submission | undefined {
  try {
    return parseJson(submissionSchema, message.data, 'the queued job');
  } catch {
    return undefined;
  }
}

/** The job did not end, and nothing is wrong with it: somebody else may go on. */
class ReturnedError extends Error {}
