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
  #firstResidual: number | undefined;
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
    this.#firstResidual = undefined;
    this.#published = -Infinity;
    this.update({ iteration: 0, products: 0 }, workers, now);
  }

  update(progress: StageProgress, workers: number, now: number): void {
    const { iteration, iterations, products, residual } = progress;
    const elapsed = (now - this.#stageStarted) / 1000;
    const rate = elapsed > 0 && products > 0 ? products / elapsed : undefined;
    const fraction = this.#fraction(progress);
    this.#pending = {
      job: this.#job,
      stage: this.#stage,
      iteration,
      ...(iterations !== undefined && { iterations }),
      products,
      // JSON has no number that is not finite.
      ...(Number.isFinite(residual) && { residual }),
      ...(rate !== undefined && { productsPerSecond: rate }),
      ...(fraction !== undefined && { fraction }),
      ...(fraction && { etaSeconds: (elapsed * (1 - fraction)) / fraction }),
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

  /**
   * How much of the stage is done: a residual that falls steadily towards its target has come log(first/now) of the
   * log(first/target) that it has to go; without a target, iterations count. Never beyond what the limit leaves.
   */
  #fraction({ iteration, iterations, residual, target }: StageProgress): number | undefined {
    if (iterations === undefined) return undefined;
    const counted = Math.min(1, iteration / Math.max(1, iterations));
    if (!target || residual === undefined || !Number.isFinite(residual)) return counted;
    if (residual <= target) return 1;
    this.#firstResidual ??= residual;
    const [first, now, last] = [this.#firstResidual, residual, target].map(Math.log) as [
      number,
      number,
      number,
    ];
    const fallen = (first - now) / (first - last);
    return Math.max(counted, Math.min(1, fallen));
  }
}
