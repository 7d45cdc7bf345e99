import { expect, it } from '@jest/globals';
import { kroneckerBlocks } from '../../../protocol/kronecker.js';
import { losses } from '../../../protocol/model.js';
import { generator } from '../../../protocol/random.js';
import { rowsOf } from '../../../worker/curvature/batch.js';
import { kroneckerSums } from '../../../worker/curvature/kronecker.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { referenceGaussNewton, relativeError } from '../../support/reference.js';
import { networkProblem } from './problem.js';

/*
 * Where all rows are one and the same, the mean of (ā ⊗ δ)(ā ⊗ δ)ᵀ is ā·āᵀ ⊗ E[δδᵀ]: the Kronecker factors say exactly what the
 * Gauss-Newton matrix is on a layer's parameters, but for the labels that were drawn.
 */
const copies = 4096;

describeEngines('kroneckerSums on %s', (name) => {
  it.each(losses.filter((loss) => loss === 'softmaxCrossEntropy' || !isSlow(name)))(
    'kroneckerSums: %s: of copies of one row they are the Gauss-Newton matrix of each layer',
    async (loss) => {
      const { engine } = await openEngine(name);
      const description = {
        input: { shape: [3] },
        layers: [
          { type: 'dense', units: 4, activation: 'tanh' },
          { type: 'activation', activation: 'sigmoid' },
          { type: 'dense', units: 3, useBias: false },
        ],
        loss,
      } as const;
      const { parameters, batch, referenceRows, ...problem } = networkProblem(description, 1, 5);
      // Outliers count as if they were none, and so none is to be there.
      const network = { ...problem.network, huberDelta: 100 };
      const many = rowsOf({ ...batch, weights: undefined }, new Int32Array(copies));
      const bound = bindNetwork(engine, network, parameters);
      const blocks = kroneckerBlocks(network);
      expect(blocks.map(({ rows, units }) => [rows, units])).toEqual([
        [4, 4],
        [4, 3],
      ]);
      const before = engine.memory().tensors;
      const sums = await kroneckerSums(engine, bound, many, blocks, generator(7));
      expect(engine.memory().tensors).toBe(before);
      const twice = { ...many, weights: new Float32Array(copies).fill(2) };
      const weighted = await kroneckerSums(engine, bound, twice, blocks, generator(7));
      // Twice the weight, twice the sums: the same labels are drawn.
      expect(
        relativeError(
          weighted,
          sums.map((value) => 2 * value),
        ),
      ).toBeLessThan(1e-5);

      const exact = referenceGaussNewton(network, parameters, [{ ...referenceRows[0]!, weight: 1 }]);
      let at = 0;
      for (const { offset, rows, units } of blocks) {
        const next = (size: number) => sums.subarray(at, (at += size * size));
        const [a, g] = [next(rows), next(units)];
        const [found, wanted]: [number[], number[]] = [[], []];
        for (let i = 0; i < rows * units; i++)
          for (let j = 0; j < rows * units; j++) {
            const [left, right] = [
              Math.floor(i / units) * rows + Math.floor(j / units),
              (i % units) * units + (j % units),
            ];
            found.push((a[left]! / copies) * (g[right]! / copies));
            wanted.push(exact[offset + i]![offset + j]!);
          }
        // Means of 4096 draws, whose squares deviate by at most a few times their mean.
        expect(relativeError(found, wanted)).toBeLessThan(0.12);
      }
      engine.dispose(bound.held);
    },
  );
});
