import type { Report } from '../../protocol/jobs.js';
import type { DistributedOperator } from '../distributed-operator.js';
import type { Farm } from '../farm.js';
import type { Prepared } from '../prepare.js';
import type { StageProgress } from '../progress.js';
import type { Stores } from '../stores.js';

/** What a request's handler works with. The operator stands at the model's parameters. */
export interface Context {
  job: string;
  prepared: Prepared;
  farm: Farm;
  stores: Stores;
  operator: DistributedOperator;
  /** Objective and gradient at the model's parameters. */
  start: { value: number; gradient: Float64Array };
  parameters: Float32Array;
  signal: AbortSignal;
  stage: (name: string) => void;
  progress: (progress: StageProgress) => void;
}

/** What a request comes to: vectors for the result file, and its part of the report. */
export interface Outcome {
  status: string;
  advice: string;
  vectors?: { file: string; values: Float64Array; count: number };
  report: Partial<Report>;
  warnings?: string[];
}
