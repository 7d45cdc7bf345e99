import { describe, expect, it } from '@jest/globals';
import { limits } from '../../protocol/names.js';
import { requestSchema } from '../../protocol/requests.js';

const base = { model: 'm', dataset: 'd' };
const solve = { type: 'solve', ...base, rhs: { kind: 'ones' }, method: { name: 'cg' } };
const lissa = { name: 'lissa', scale: 10 };
const accepts = (request: unknown) => requestSchema.safeParse(request).success;

describe('requestSchema', () => {
  it('fills in the defaults', () => {
    expect(requestSchema.parse(solve)).toEqual({
      ...solve,
      curvature: 'hessian',
      hvp: { mode: 'exact' },
      damping: 0,
      method: {
        ...{ name: 'cg', tolerance: 1e-5, maxIterations: 500, block: false, onIndefinite: 'fail' },
        ...{ preconditioner: 'none', probes: 32, maxRank: 256, seed: 0 },
      },
    });
    expect(requestSchema.parse({ ...solve, method: lissa })).toMatchObject({
      method: { batchSize: 'auto', depth: 'auto', samples: 1, seed: 0, blockSize: 16, convention: 'exact' },
    });
    expect(requestSchema.parse({ type: 'fit', ...base, into: 'n' })).toMatchObject({
      replace: false,
      gradientTolerance: 1e-5,
      maxIterations: 100,
    });
    expect(requestSchema.parse({ type: 'gradient', ...base })).toMatchObject({ type: 'gradient' });
  });

  it.each<[string, unknown]>([
    ['no type', { ...solve, type: undefined }],
    ['an unknown type', { ...solve, type: 'invert' }],
    ['an unknown field', { ...solve, dampening: 1 }],
    ['no method', { ...solve, method: undefined }],
    ['an unknown method', { ...solve, method: { name: 'gmres' } }],
    ['no rhs', { ...solve, rhs: undefined }],
    ['an unknown rhs', { ...solve, rhs: { kind: 'zeros' } }],
    ['no rows', { ...solve, rhs: { kind: 'gradient', dataset: 'd', rows: [] } }],
    ['a negative row', { ...solve, rhs: { kind: 'gradient', dataset: 'd', rows: [-1] } }],
    ['half a row', { ...solve, rhs: { kind: 'gradient', dataset: 'd', rows: [0.5] } }],
    [
      'too many rows',
      {
        ...solve,
        rhs: { kind: 'gradient', dataset: 'd', rows: new Array(limits.rightHandSides + 1).fill(0) },
      },
    ],
    ['an empty name', { ...solve, model: '' }],
    ['a name with a dot', { ...solve, model: 'a.b' }],
    ['a name that leaves its folder', { ...solve, dataset: '../d' }],
    ['a wildcard as a name', { ...solve, dataset: '*' }],
    ['a name too long', { ...solve, model: 'm'.repeat(65) }],
    ['zero leaf rows', { ...solve, leafRows: 0 }],
    ['half a leaf row', { ...solve, leafRows: 1.5 }],
    ['too many leaf rows', { ...solve, leafRows: limits.leafRows + 1 }],
    ['differences without a step', { ...solve, hvp: { mode: 'finite-difference' } }],
    ['a step of zero', { ...solve, hvp: { mode: 'finite-difference', step: 0 } }],
    ['a step for exact products', { ...solve, hvp: { mode: 'exact', step: 1 } }],
    ['an hvp without vectors', { type: 'hvp', ...base }],
    ['a fit without a name', { type: 'fit', ...base }],
    ['a fit with right-hand sides', { type: 'fit', ...base, into: 'n', rhs: { kind: 'ones' } }],
  ])('refuses %s', (_, request) => {
    expect(accepts(request)).toBe(false);
  });

  const notPositive = [0, -0, -1, NaN, Infinity, -Infinity, '1', null];
  const notCount = [...notPositive, 0.5, 2 ** 53];
  it.each<[string, unknown[], (value: unknown) => unknown]>([
    ['damping', [-1e-9, NaN, Infinity, '0', null], (damping) => ({ ...solve, damping })],
    ['tolerance', notPositive, (tolerance) => ({ ...solve, method: { name: 'cg', tolerance } })],
    ['maxIterations', notCount, (maxIterations) => ({ ...solve, method: { name: 'cg', maxIterations } })],
    ['scale', notPositive, (scale) => ({ ...solve, method: { ...lissa, scale } })],
    ['batchSize', notCount, (batchSize) => ({ ...solve, method: { ...lissa, batchSize } })],
    ['depth', notCount, (depth) => ({ ...solve, method: { ...lissa, depth } })],
    ['samples', notCount, (samples) => ({ ...solve, method: { ...lissa, samples } })],
    ['blockSize', notCount, (blockSize) => ({ ...solve, method: { ...lissa, blockSize } })],
    ['seed', [-1, 0.5, NaN, Infinity, '1', null], (seed) => ({ ...solve, method: { ...lissa, seed } })],
    [
      'gradientTolerance',
      notPositive,
      (gradientTolerance) => ({ type: 'fit', ...base, into: 'n', gradientTolerance }),
    ],
    ['convention', ['koh', null, 1], (convention) => ({ ...solve, method: { ...lissa, convention } })],
  ])('refuses a %s that makes no sense, and takes one that does', (field, values, request) => {
    for (const value of values) expect([value, accepts(request(value))]).toEqual([value, false]);
    expect(accepts(request(field === 'convention' ? 'authors' : 2))).toBe(true);
  });
});
