import { describe } from '@jest/globals';
import { readRecipe } from '../../worker/engines/tensorflow/folder.js';

const tensorflowBuilt = readRecipe() !== undefined;

/** The engines that start here, fastest first. */
export const engines = [...(tensorflowBuilt ? ['tensorflow'] : []), 'wasm', 'cpu'];

/** Describes `body` for every engine, `%s` in the title being its name; what has not been built is shown as skipped. */
export function describeEngines(title: string, body: (name: string) => void): void {
  describe.each(engines)(title, body);
  if (!tensorflowBuilt)
    describe.skip(`${title.replace('%s', 'tensorflow')} (not built: npm run engine:tensorflow)`, () =>
      body('tensorflow'));
}
