import { describe, expect, it } from '@jest/globals';
import * as errors from '../../protocol/errors.js';

const classes = Object.values(errors).filter(
  (value): value is typeof errors.IhvpError =>
    typeof value === 'function' &&
    (value === errors.IhvpError || value.prototype instanceof errors.IhvpError),
);

describe('fromWire and toWire', () => {
  it('every error class has a code of its own and can cross the wire', () => {
    expect(classes.length).toBeGreaterThanOrEqual(20);
    expect(new Set(classes.map(({ code }) => code)).size).toBe(classes.length);
    expect([...errors.errorCodes].sort()).toEqual(classes.map(({ code }) => code).sort());
  });

  it.each(classes.map((errorClass) => [errorClass.name, errorClass] as const))(
    '%s: class, code, message, hint and details come back',
    (name, ErrorClass) => {
      const details = { shard: 3, row: 17 };
      const thrown = new ErrorClass('it broke', { hint: 'mend it', details, cause: new Error('why') });
      const wire = JSON.parse(JSON.stringify(errors.toWire(thrown))) as errors.WireError;
      expect(wire).toEqual({ code: ErrorClass.code, message: 'it broke', hint: 'mend it', details });
      const back = errors.fromWire(wire);
      expect(back.constructor).toBe(ErrorClass);
      expect(back).toMatchObject({ name, message: 'it broke', hint: 'mend it', details });
    },
  );

  it('what was left out stays out', () => {
    const wire = errors.toWire(new errors.TimeoutError('late'));
    expect(Object.keys(wire)).toEqual(['code', 'message']);
    expect(errors.fromWire(wire)).toMatchObject({ hint: undefined, details: undefined });
  });

  it('an unknown code is a plain IhvpError, and anything thrown can be sent', () => {
    expect(errors.fromWire({ code: 'of-tomorrow', message: 'new' }).constructor).toBe(errors.IhvpError);
    expect(errors.toWire(new RangeError('far'))).toEqual({ code: 'internal', message: 'far' });
    expect(errors.toWire('text')).toEqual({ code: 'internal', message: 'text' });
    expect(errors.toWire(undefined)).toEqual({ code: 'internal', message: 'undefined' });
  });
});
