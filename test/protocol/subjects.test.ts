import { describe, expect, it } from '@jest/globals';
import { BadRequestError } from '../../protocol/errors.js';
import { nameSchema, sha256Schema } from '../../protocol/names.js';
import { names } from '../../protocol/subjects.js';

/** Every string in it, functions called with an id. */
function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'function') return strings((value as (id: string) => unknown)('ID'));
  return Object.values(value as object).flatMap(strings);
}

describe('names', () => {
  it('everything is rooted at the prefix and its version, so that farms can share a server', () => {
    const { prefix, ...rest } = names('farm-2');
    expect(prefix).toBe('farm-2');
    const all = strings({ ...rest, stores: { ...rest.stores, queue: rest.stores.queue.subject } });
    for (const name of all) expect(name).toMatch(/^farm-2(\.v1\.|_v1_)[A-Za-z0-9._-]+$/);
    expect(names().jobs.submit).toBe('ihvp.v1.jobs.submit');
  });

  it('no two subjects, streams or buckets are the same', () => {
    const { jobs, job, coordinator, worker, blocks, stores } = names();
    const { stream, subject } = stores.queue;
    const all = strings({
      jobs,
      job,
      coordinator,
      worker,
      blocks,
      stores: { ...stores, queue: [stream, subject] },
    });
    expect(new Set(all).size).toBe(all.length);
  });

  it.each(['', 'a.b', 'a b', '*', '>', 'ü', 'x'.repeat(65), 'a\r\nPUB x 0'])(
    'refuses the prefix %j',
    (prefix) => {
      expect(() => names(prefix)).toThrow(BadRequestError);
    },
  );
});

describe('nameSchema', () => {
  it('takes what is safe as a key, a subject token and a file name', () => {
    for (const name of ['a', 'mnist-train', 'A_1', '0', 'x'.repeat(64)])
      expect(nameSchema.safeParse(name).success).toBe(true);
    for (const name of [
      '',
      '-a',
      '_a',
      '.',
      '..',
      'a.b',
      'a/b',
      'a b',
      'a*',
      '>',
      'é',
      'a\n',
      'x'.repeat(65),
    ])
      expect([name, nameSchema.safeParse(name).success]).toEqual([name, false]);
  });
});

describe('sha256Schema', () => {
  it('takes 64 lower-case hexadecimal digits', () => {
    expect(sha256Schema.safeParse('0123456789abcdef'.repeat(4)).success).toBe(true);
    for (const text of ['', 'a'.repeat(63), 'a'.repeat(65), 'A'.repeat(64), 'g'.repeat(64)])
      expect(sha256Schema.safeParse(text).success).toBe(false);
  });
});
