import { beforeAll, expect, it } from '@jest/globals';
import type { Engine } from '../../../worker/engines/engine.js';
import { openEngine, type EngineTensor } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { engines } from '../../support/engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { mnistError, mnistModels, mnistTolerance } from './mnist-check.js';

describeEngines('%s', (name) => {
  let engine: Engine<EngineTensor>;
  beforeAll(async () => {
    ({ engine } = await openEngine(name));
  });

  // `npm run verify` has all models and all rows; here those that are quick, on the engines that are.
  const quick = !isSlow(name) && name !== 'cpu';
  const asked = Object.keys(mnistModels).flatMap((title): [string, number][] => {
    if (title === 'softmax regression') return [[title, quick ? 60_000 : 1000]];
    return quick ? [[title, title === 'MLP' && name === engines[0] ? 60_000 : 1000]] : [];
  });
  it.each(asked)('product: %s on %i digits equals float64 to 5e-6 of its norm', async (title, rows) => {
    expect(await mnistError(engine, title, rows)).toBeLessThan(mnistTolerance);
  });
});
