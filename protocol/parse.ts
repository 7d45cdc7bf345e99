import type { z } from 'zod';
import { BadRequestError } from './errors.js';

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Of one problem that is told: the field's name is whatever was sent. */
const problemLength = 200;

/** The value as the schema's type, or `BadRequestError` that names every field that does not fit. */
export function parseValue<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.join('.');
    const problem = path ? `${path}: ${issue.message}` : issue.message;
    return problem.length > problemLength ? `${problem.slice(0, problemLength)}…` : problem;
  });
  throw new BadRequestError(`${what} is not valid: ${problems.join('; ')}`, { details: { problems } });
}

/** JSON bytes as the schema's type, or `BadRequestError`. */
export function parseJson<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array | string,
  what: string,
): z.infer<S> {
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === 'string' ? bytes : decoder.decode(bytes));
  } catch {
    throw new BadRequestError(`${what} is not JSON`);
  }
  return parseValue(schema, value, what);
}
