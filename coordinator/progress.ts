import type { Progress } from '../protocol/jobs.js';

/** No more than this many progress events a second, the first and last of a stage aside. */
const perSecond = 4;

export interface StageProgress {
  iteration: number;
  iterations?: number;
  residual?: number;
  products: number;
  /** Where the residual must get to, for the estimate of the time left. */
  target?: number;
}

/** Turns solver progress into events: rate, time left, and not too many of them. Time comes in as a number. */
export class ProgressReporter {
  #publish: (progress: Progress) => void;
  #job: string;
  #started: number;
  #stageStarted: number;
  #stage = '';
  #first: { residual: number; iteration: number } | undefined;
  #published = -Infinity;
  #pending: Progress | undefined;

  constructor(job: string, publish: (progress: Progress) => void, now: number) {
    this.#job = job;
    this.#publish = publish;
    this.#started = this.#stageStarted = now;
  }

  stage(name: string, workers: number, now: number): void {
    this.flush();
    this.#stage = name;
    this.#stageStarted = now;
    this.#first = undefined;
    this.#published = -Infinity;
    this.update({ iteration: 0, products: 0 }, workers, now);
  }

  update(progress: StageProgress, workers: number, now: number): void {
    const { target, ...shown } = progress;
    const elapsed = (now - this.#stageStarted) / 1000;
    const rate = elapsed > 0 && progress.products > 0 ? progress.products / elapsed : undefined;
    const eta = this.#secondsLeft(progress, elapsed);
    this.#pending = {
      job: this.#job,
      stage: this.#stage,
      ...shown,
      ...(rate !== undefined && { productsPerSecond: rate }),
      ...(eta !== undefined && { etaSeconds: eta }),
      workers,
      seconds: (now - this.#started) / 1000,
    };
    if (now - this.#published < 1000 / perSecond) return;
    this.#published = now;
    this.flush();
  }

  /** Publishes what the limit on events held back. */
  flush(): void {
    if (this.#pending) this.#publish(this.#pending);
    this.#pending = undefined;
  }

  /** Iterations left: by the residual's mean rate of decrease towards its target, and never past the limit. */
  #secondsLeft(
    { iteration, iterations, residual, target }: StageProgress,
    elapsed: number,
  ): number | undefined {
    if (iteration < 1 || iterations === undefined) return undefined;
    let left = iterations - iteration;
    if (residual && target) {
      this.#first ??= { residual, iteration };
      const rate = Math.log(this.#first.residual / residual) / (iteration - this.#first.iteration);
      if (rate > 0) left = Math.min(left, Math.log(residual / target) / rate);
    }
    return (Math.max(0, left) * elapsed) / iteration;
  }
}
