import { expect, it } from '@jest/globals';
import { TooLargeError } from '../../../protocol/errors.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';

// The engines of this file are not used again: what follows such an error could be wrong.
describeEngines('%s', (name) => {
  // The memory of these engines is the machine's.
  (['onnx', 'tensorflow', 'cpu'].includes(name) ? it.skip : it)(
    'a tensor past the memory: TooLargeError, and no number afterwards',
    async () => {
      const { engine } = await openEngine(name);
      const work = async (size: number) => {
        const matrix = engine.fill([size, size], 1);
        return engine.download(engine.sum(matrix, 0));
      };
      expect(Array.from(await work(2))).toEqual([2, 2]);
      const hint: unknown = expect.stringMatching(/--leaf-rows.*--cache-bytes/);
      await expect(work(2 ** 15)).rejects.toMatchObject({ name: TooLargeError.name, hint });
      await expect(work(2)).rejects.toBeInstanceOf(TooLargeError);
    },
  );
});
