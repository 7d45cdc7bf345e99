/**
 * Errors that cross the wire. Each class has a stable `code`; a client sees the class, the code, the message and
 * the details that the far side threw. Non-convergence is a result, never one of these.
 */
export interface WireError {
  code: string;
  message: string;
  hint?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

export class IhvpError extends Error {
  static readonly code: string = 'internal';
  /** What the user can do next, in one line. */
  readonly hint: string | undefined;
  /** Machine-readable facts: names, numbers, shard and row. */
  readonly details: Record<string, unknown> | undefined;

  constructor(
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
    this.details = options.details;
  }

  get code(): string {
    return (this.constructor as typeof IhvpError).code;
  }

  toWire(): WireError {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint !== undefined && { hint: this.hint }),
      ...(this.details && { details: this.details }),
    };
  }
}

/** A message, option or file header that does not fit its schema. */
export class BadRequestError extends IhvpError {
  static override readonly code = 'bad-request';
}
export class UnknownDatasetError extends IhvpError {
  static override readonly code = 'unknown-dataset';
}
export class UnknownModelError extends IhvpError {
  static override readonly code = 'unknown-model';
}
export class UnknownJobError extends IhvpError {
  static override readonly code = 'unknown-job';
}
/** A worker was asked about an operator that it does not hold (any more). */
export class UnknownOperatorError extends IhvpError {
  static override readonly code = 'unknown-operator';
}
/** The name is taken and the caller did not ask to replace it. */
export class AlreadyExistsError extends IhvpError {
  static override readonly code = 'already-exists';
}
/** Two shapes that must agree do not. */
export class ShapeMismatchError extends IhvpError {
  static override readonly code = 'shape-mismatch';
}
export class LabelOutOfRangeError extends IhvpError {
  static override readonly code = 'label-out-of-range';
}
/** NaN or ±Inf where only finite numbers may be. */
export class NotFiniteError extends IhvpError {
  static override readonly code = 'not-finite';
}
/** A file in a format we read, with contents that break its rules: a ragged line, a wrong magic number. */
export class BadFileError extends IhvpError {
  static override readonly code = 'bad-file';
}
/** A shard whose bytes are missing, truncated or not those of the manifest. */
export class CorruptShardError extends IhvpError {
  static override readonly code = 'corrupt-shard';
}
export class TooLargeError extends IhvpError {
  static override readonly code = 'too-large';
}
/** Well-formed, but something we do not do: an unknown layer, loss or engine. */
export class UnsupportedError extends IhvpError {
  static override readonly code = 'unsupported';
}
/** A path or action that this process was not started with permission for. */
export class ForbiddenError extends IhvpError {
  static override readonly code = 'forbidden';
}
/** The worker's own cross-check of a product failed: the answer would be wrong. */
export class SelfCheckError extends IhvpError {
  static override readonly code = 'self-check-failed';
}
export class CancelledError extends IhvpError {
  static override readonly code = 'cancelled';
}
/** Nobody answered in time. */
export class TimeoutError extends IhvpError {
  static override readonly code = 'timeout';
}
/** The broker is not there, or refuses us. */
export class BrokerError extends IhvpError {
  static override readonly code = 'broker';
}
/** A worker stopped answering while it owed a result. */
export class WorkerLostError extends IhvpError {
  static override readonly code = 'worker-lost';
}

const classes: (typeof IhvpError)[] = [
  IhvpError,
  BadRequestError,
  UnknownDatasetError,
  UnknownModelError,
  UnknownJobError,
  UnknownOperatorError,
  AlreadyExistsError,
  ShapeMismatchError,
  LabelOutOfRangeError,
  NotFiniteError,
  BadFileError,
  CorruptShardError,
  TooLargeError,
  UnsupportedError,
  ForbiddenError,
  SelfCheckError,
  CancelledError,
  TimeoutError,
  BrokerError,
  WorkerLostError,
];
const byCode = new Map(classes.map((errorClass) => [errorClass.code, errorClass]));

/** Every code that can cross the wire. */
export const errorCodes: readonly string[] = [...byCode.keys()];

/** The error that the far side threw, as its own class; an unknown code becomes a plain `IhvpError`. */
export function fromWire(wire: WireError): IhvpError {
  const ErrorClass = byCode.get(wire.code) ?? IhvpError;
  return new ErrorClass(wire.message, {
    ...(wire.hint !== undefined && { hint: wire.hint }),
    ...(wire.details && { details: wire.details }),
  });
}

/** Any thrown thing as something that can be sent. */
export function toWire(error: unknown): WireError {
  if (error instanceof IhvpError) return error.toWire();
  return { code: IhvpError.code, message: error instanceof Error ? error.message : String(error) };
}
