import { BadRequestError } from '../../protocol/errors.js';

/** Without the fields that were not given. */
export function present<T extends object>(fields: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: NonNullable<T[Key]>;
  };
}

/** An option that would change nothing is a misunderstanding. */
export function unused(options: string[], where: string): BadRequestError {
  return new BadRequestError(`${options.join(', ')} would change nothing without ${where}`, {
    hint: `say ${where}, or leave ${options.join(', ')} out`,
  });
}
