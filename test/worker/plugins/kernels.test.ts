import { expect, it } from '@jest/globals';
import { eagerNames } from '../../../worker/engines/names.js';
import { verifiedKernels } from '../../../worker/plugins/gradients/verified.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { expectSecondOrder } from './expect-second-order.js';
import { kernelCases } from './kernel-cases.js';
import { networkCases } from './network-cases.js';
import { windowCases } from './window-cases.js';

const few = Object.entries(windowCases).filter(([title]) => title.endsWith(': same, strides'));

describeEngines(
  'second derivatives on %s',
  (engine) => {
    const windows = isSlow(engine) ? Object.fromEntries(few) : { ...windowCases, ...networkCases };
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
