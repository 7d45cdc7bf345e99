import { BadFileError } from '../protocol/errors.js';

/** The system's refusal to open or read a file as a `BadFileError`; any other error as it is. */
export function unreadable(path: string, error: unknown): unknown {
  if (typeof error !== 'object' || error === null || !('syscall' in error)) return error;
  return new BadFileError(
    `${path} cannot be read: ${'code' in error ? String(error.code) : String(error.syscall)}`,
    { details: { path }, cause: error },
  );
}
