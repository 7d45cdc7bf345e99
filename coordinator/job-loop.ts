import type { JsMsg } from '@nats-io/jetstream';
import { CancelledError, toWire } from '../protocol/errors.js';
import { isFinished, type Job } from '../protocol/jobs.js';
import { parseJson } from '../protocol/parse.js';
import { submissionSchema, type Submission } from '../protocol/services.js';
import type { Farm } from './farm.js';
import { acknowledgeWithinMs } from './job-store.js';
import { storeResult } from './results.js';
import { runJob } from './run-job.js';
import type { Stores } from './stores.js';

/** A job that was taken this often without an end has brought down its coordinators: it fails. */
const maximumAttempts = 5;

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
    this.#current?.abort.abort(new StoppingError());
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
    const working = setInterval(() => message.working(), acknowledgeWithinMs / 3);
    try {
      const submission = readSubmission(message);
      const job = submission && (await this.#stores.jobs.ensure(submission));
      if (!job || isFinished(job.state)) message.term();
      else if (await this.#run(job)) await message.ackAck();
      else message.nak();
    } finally {
      clearInterval(working);
    }
  }

  /** Runs the job to its end; false where it should go to another coordinator. */
  async #run(queued: Job): Promise<boolean> {
    const { jobs, results } = this.#stores;
    const { nc, names, coordinator } = this.#farm;
    const abort = new AbortController();
    const { id } = queued;
    this.#current = { id, abort };
    const cancelled = nc.subscribe(names.job(id).cancel, { callback: () => this.cancel(id) });
    let job: Job = {
      ...queued,
      coordinator,
      attempts: queued.attempts + 1,
      started: queued.started ?? new Date().toISOString(),
    };
    const move = (change: Partial<Job>) => {
      job = { ...job, ...change };
      this.#say(`job ${id} is ${job.state}: ${job.message}`);
      return jobs.save(job);
    };
    const finish = (change: Partial<Job>) => move({ ...change, finished: new Date().toISOString() });
    try {
      if (queued.attempts >= maximumAttempts)
        throw new Error(`the job was tried ${queued.attempts} times without an end`);
      if (this.#farm.workers().length === 0) {
        await move({ state: 'waiting', message: 'no worker is there: start one with `ihvp worker`' });
        await this.#farm.atLeastOne(abort.signal);
      }
      await move({ state: 'running', message: `runs on ${this.#farm.workers().length} worker(s)` });
      const { report, vectors } = await runJob({
        job,
        farm: this.#farm,
        stores: this.#stores,
        signal: abort.signal,
        publish: (progress) => nc.publish(names.job(id).progress, JSON.stringify(progress)),
        onOperator: (operator) => (this.#operator = operator),
      });
      await storeResult(results, report, vectors);
      await finish({ state: 'done', message: `${report.status}: ${report.advice}` });
    } catch (error) {
      if (error instanceof StoppingError) {
        await move({
          state: 'queued',
          message: 'its coordinator stopped; waits for another',
          attempts: queued.attempts,
        });
        return false;
      }
      if (nc.isClosed()) return false;
      const state = error instanceof CancelledError ? 'cancelled' : 'failed';
      await finish({
        state,
        message: (error as Error).message,
        error: toWire(error),
      });
    } finally {
      cancelled.unsubscribe();
      this.#current = undefined;
    }
    return true;
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

/** The coordinator ends before its job did. */
class StoppingError extends Error {}
