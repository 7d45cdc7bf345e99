import { BrokerError, TimeoutError, UnknownOperatorError, WorkerLostError } from '../protocol/errors.js';

/** Errors of the machinery, which another try or another worker can mend; a worker's verdict on the input is final. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof WorkerLostError ||
    error instanceof TimeoutError ||
    error instanceof UnknownOperatorError ||
    error instanceof BrokerError
  );
}
