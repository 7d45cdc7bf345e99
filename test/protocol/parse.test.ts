import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { BadRequestError } from '../../protocol/errors.js';
import { parseJson, parseValue } from '../../protocol/parse.js';

const schema = z.strictObject({ name: z.string(), sizes: z.array(z.int()) });
const failure = (parse: () => unknown): BadRequestError => {
  try {
    parse();
  } catch (error) {
    if (error instanceof BadRequestError) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

describe('parseValue', () => {
  it('gives the value, defaults filled in', () => {
    const withDefault = z.strictObject({ a: z.number().default(3) });
    expect(parseValue(withDefault, {}, 'it')).toEqual({ a: 3 });
  });

  it('names every field that does not fit', () => {
    const { message } = failure(() => parseValue(schema, { name: 1, sizes: [1, 0.5] }, 'the thing'));
    expect(message).toMatch(/^the thing is not valid: /);
    expect(message).toContain('name: ');
    expect(message).toContain('sizes.1: ');
  });

  it('an error is short, whatever was sent: it has to fit a message', () => {
    const value: Record<string, unknown> = { name: 'x', sizes: Array.from({ length: 1e5 }, () => 'x') };
    value['k'.repeat(1e6)] = 1;
    const error = failure(() => parseValue(schema, value, 'it'));
    expect(JSON.stringify(error.toWire()).length).toBeLessThan(10_000);
    const key = failure(() => parseValue(schema, { name: 'x', sizes: [], ['k'.repeat(1e6)]: 1 }, 'it'));
    expect(JSON.stringify(key.toWire()).length).toBeLessThan(10_000);
    expect(key.message).toContain('kkk');
  });
});

describe('parseJson', () => {
  it.each([
    ['nothing', Buffer.from('')],
    ['half a document', Buffer.from('{"name": "x"')],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['NaN', Buffer.from('NaN')],
  ])('throws BadRequestError on %s', (_, bytes) => {
    expect(failure(() => parseJson(z.unknown(), bytes, 'the thing')).message).toBe('the thing is not JSON');
  });

  it('reads bytes at any offset, and text', () => {
    const bytes = Buffer.from('xx{"name":"é","sizes":[]}').subarray(2);
    expect(parseJson(schema, bytes, 'it')).toEqual({ name: 'é', sizes: [] });
    expect(parseJson(schema, '{"name":"é","sizes":[]}', 'it')).toEqual({ name: 'é', sizes: [] });
  });

  it('a document of brackets alone is an error, not a full stack', () => {
    failure(() => parseJson(schema, '['.repeat(500_000) + ']'.repeat(500_000), 'it'));
  });
});
