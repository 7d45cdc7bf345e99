import { expect, it } from '@jest/globals';
import { eagerNames } from '../../../worker/engines/names.js';
import { verifiedKernels } from '../../../worker/plugins/gradients/verified.js';
import { describeEngines } from '../../support/describe-engines.js';
import { expectSecondOrder } from './expect-second-order.js';
import { kernelCases } from './kernel-cases.js';
import { networkCases } from './network-cases.js';
import { windowCases } from './window-cases.js';

const fewWindows = Object.fromEntries(
  Object.entries(windowCases).filter(([title]) => title.endsWith(': same, strides')),
);

describeEngines(
  'second derivatives on %s',
  (engine) => {
    // `npm run verify` has all of them for every engine.
    const windows = ['wasm', 'cpu'].includes(engine) ? { ...windowCases, ...networkCases } : fewWindows;
    const cases = Object.entries({ ...kernelCases, ...windows });
    const seen = new Set<string>();
    it.each(cases)('%s: loss, gradient, product and row derivatives equal float64', async (_, given) => {
      for (const kernel of await expectSecondOrder(engine, given)) seen.add(kernel);
    });

    it('verifiedKernels: each of them has a case', () => {
      expect(verifiedKernels.filter((kernel) => !seen.has(kernel))).toEqual([]);
    });
  },
  eagerNames,
);
