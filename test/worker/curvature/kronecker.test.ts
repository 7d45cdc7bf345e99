import { expect, it } from '@jest/globals';
import { KroneckerInverse } from '../../../coordinator/dense/kronecker-inverse.js';
import { plainProduct } from '../../../coordinator/dense/matrix-product.js';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { conjugateGradient } from '../../../coordinator/solvers/conjugate-gradient.js';
import type { Preconditioner } from '../../../coordinator/solvers/preconditioner.js';
import { kroneckerBlocks, kroneckerWidth, type KroneckerBlock } from '../../../protocol/kronecker.js';
import type { LayerDescription } from '../../../protocol/layers.js';
import { losses, type Network } from '../../../protocol/model.js';
import { generator } from '../../../protocol/random.js';
import { rowsOf } from '../../../worker/curvature/batch.js';
import { kroneckerSums } from '../../../worker/curvature/kronecker.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { sampledLabels } from '../../../worker/curvature/sampled-labels.js';
import { openEngine } from '../../../worker/engines/select.js';
import { denseOperator, type Matrix } from '../../support/dense.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { applyLayer, type Rows } from '../../support/reference-layers.js';
import { referenceGaussNewton, relativeError } from '../../support/reference.js';
import { Tape } from '../../support/tape.js';
import { networkProblem } from './problem.js';

/*
 * Where all rows are one and the same, the mean of (ā ⊗ δ)(ā ⊗ δ)ᵀ is ā·āᵀ ⊗ E[δδᵀ]: the Kronecker factors say exactly what the
 * Gauss-Newton matrix is on a layer's parameters, but for the labels that were drawn.
 */
const copies = 4096;

type Window = {
  size: [number, number];
  strides: [number, number];
  dilation: [number, number];
  same: boolean;
};
const unit: Window = { size: [1, 1], strides: [1, 1], dilation: [1, 1], same: false };

interface Case {
  input: number[];
  layers: object[];
  /** The layers with factors, by their places, and their windows. */
  factored: [at: number, window: Window][];
}

/** Activations are layers of their own, so that what a layer hands out is what its δ belongs to. */
const cases: Record<string, Case> = {
  'conv2d: strides, padding and dilation': {
    input: [5, 6, 2],
    layers: [
      { type: 'conv2d', filters: 3, kernelSize: [3, 2], strides: [2, 1], padding: 'same' },
      { type: 'activation', activation: 'tanh' },
      { type: 'conv2d', filters: 2, kernelSize: [2, 2], dilation: [1, 2], useBias: false },
      { type: 'flatten' },
      { type: 'dense', units: 3 },
    ],
    factored: [
      [0, { size: [3, 2], strides: [2, 1], dilation: [1, 1], same: true }],
      [2, { size: [2, 2], strides: [1, 1], dilation: [1, 2], same: false }],
      [4, unit],
    ],
  },
  'conv1d, and dense on the last axis': {
    input: [7, 2],
    layers: [
      { type: 'conv1d', filters: 3, kernelSize: 3, strides: 2, padding: 'same' },
      { type: 'activation', activation: 'sigmoid' },
      { type: 'dense', units: 2 },
      { type: 'flatten' },
      { type: 'dense', units: 2, useBias: false },
    ],
    factored: [
      [0, { size: [1, 3], strides: [1, 2], dilation: [1, 1], same: true }],
      [2, unit],
      [4, unit],
    ],
  },
  'separableConv2d: its pointwise part, and not the depthwise one': {
    input: [4, 4, 2],
    layers: [
      { type: 'separableConv2d', filters: 3, kernelSize: [2, 2], depthMultiplier: 2 },
      { type: 'flatten' },
      { type: 'dense', units: 2 },
    ],
    factored: [
      [1, unit],
      [3, unit],
    ],
  },
};

/** A separable convolution is these two, with the same parameters in the same order. */
const apart = (layers: readonly LayerDescription[]) =>
  layers.flatMap((layer): LayerDescription[] =>
    layer.type === 'separableConv2d'
      ? [
          { ...layer, type: 'depthwiseConv2d', useBias: false },
          {
            ...{ type: 'conv2d', filters: layer.filters, kernelSize: [1, 1], strides: [1, 1] },
            ...{ dilation: [1, 1], padding: 'valid', activation: 'linear', useBias: layer.useBias },
          },
        ]
      : [layer],
  );

/** For each position of a window over height × width × channels what it reads, zeros outside. */
function patchesOf({ shape, values }: Rows, { size, strides, dilation, same }: Window): number[][] {
  const image = shape.length === 1 ? [1, 1, ...shape] : shape.length === 2 ? [1, ...shape] : shape;
  const [height, width, channels] = image as [number, number, number];
  const axis = (length: number, i: 0 | 1) => {
    const reach = (size[i] - 1) * dilation[i] + 1;
    const count = same ? Math.ceil(length / strides[i]) : Math.floor((length - reach) / strides[i]) + 1;
    const padding = same ? Math.max(0, (count - 1) * strides[i] + reach - length) : 0;
    return { count, before: Math.floor(padding / 2) };
  };
  const [down, across] = [axis(height, 0), axis(width, 1)];
  const patches: number[][] = [];
  for (let y = 0; y < down.count; y++)
    for (let x = 0; x < across.count; x++) {
      const patch: number[] = [];
      for (let i = 0; i < size[0]; i++)
        for (let j = 0; j < size[1]; j++)
          for (let c = 0; c < channels; c++) {
            const row = y * strides[0] + i * dilation[0] - down.before;
            const column = x * strides[1] + j * dilation[1] - across.before;
            const inside = row >= 0 && row < height && column >= 0 && column < width;
            patch.push(inside ? values[(row * width + column) * channels + c]!.value : 0);
          }
      patches.push(patch);
    }
  return patches;
}

/** Σ w·Σₜ aₜaₜᵀ and Σ w·Σₜ δₜδₜᵀ/T by the definition, for the squared error and labels drawn as the worker draws them. */
function referenceSums(
  layers: readonly LayerDescription[],
  factored: Case['factored'],
  blocks: readonly KroneckerBlock[],
  shape: readonly number[],
  parameters: Float32Array,
  rows: readonly { x: ArrayLike<number>; weight: number }[],
): Float64Array {
  const sums = new Float64Array(kroneckerWidth(blocks));
  const random = generator(7);
  for (const { x, weight } of rows) {
    const tape = new Tape();
    const theta = Array.from(parameters, (value) => tape.node(value));
    let used = 0;
    const outputs: Rows[] = [{ shape, values: Array.from(x, (value) => tape.node(value)) }];
    for (const layer of layers)
      outputs.push(applyLayer(tape, layer, [outputs.at(-1)!], (count) => theta.slice(used, (used += count))));
    const last = outputs.at(-1)!.values;
    const z = Float32Array.from(last, ({ value }) => value);
    const labels = sampledLabels({ loss: 'squaredError' }, z, z.length, random);
    for (const [j, output] of last.entries()) output.grad = 2 * (output.value - labels[j]!);
    tape.backward();

    let at = 0;
    const add = (vectors: number[][], factor: number) => {
      const width = vectors[0]!.length;
      for (const vector of vectors)
        for (let i = 0; i < width; i++)
          for (let j = 0; j < width; j++) sums[at + i * width + j]! += factor * vector[i]! * vector[j]!;
      at += width ** 2;
    };
    for (const [place, [layer, window]] of factored.entries()) {
      const { bias, units } = blocks[place]!;
      const patches = patchesOf(outputs[layer]!, window);
      const deltas = patches.map((_, t) =>
        outputs[layer + 1]!.values.slice(t * units, (t + 1) * units).map(({ grad }) => grad),
      );
      add(
        patches.map((patch) => (bias ? [...patch, 1] : patch)),
        weight,
      );
      add(deltas, weight / patches.length);
    }
  }
  return sums;
}

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
      const sums = await kroneckerSums(engine, bound, many, blocks, generator(7), engine.workBytes);
      expect(engine.memory().tensors).toBe(before);
      const twice = { ...many, weights: new Float32Array(copies).fill(2) };
      const weighted = await kroneckerSums(engine, bound, twice, blocks, generator(7), engine.workBytes);
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

  it.each(Object.keys(cases).slice(0, isSlow(name) ? 1 : undefined))(
    'kroneckerSums: %s: Ω and Γ are the sums over patches and positions that define them, in slabs of rows or not',
    async (title) => {
      const { engine } = await openEngine(name);
      const { input, layers, factored } = cases[title]!;
      const { network, parameters, batch, referenceRows } = networkProblem(
        { input: { shape: input }, layers, loss: 'squaredError' },
        ...([6, 11] as const),
      );
      const weights = Float32Array.of(1, 0, 2, 0.5, 1, 3);
      const bound = bindNetwork(engine, network, parameters);
      const blocks = kroneckerBlocks(network);
      const wanted = referenceSums(
        ...([apart(network.layers), factored, blocks, input, parameters] as const),
        referenceRows.map(({ x }, row) => ({ x, weight: weights[row]! })),
      );
      const before = engine.memory().tensors;
      // All rows at once, and each alone.
      for (const workBytes of [2 ** 26, 1]) {
        const weighted = { ...batch, weights };
        const found = await kroneckerSums(engine, bound, weighted, blocks, generator(7), workBytes);
        let at = 0;
        for (const { rows, units } of blocks)
          for (const width of [rows, units]) {
            const part = (sums: Float64Array) => sums.subarray(at, at + width ** 2);
            // Float32 through a few layers; labels that both rounded to float32.
            expect(relativeError(part(found), part(wanted))).toBeLessThan(1e-5);
            at += width ** 2;
          }
        expect(at).toBe(found.length);
      }
      expect(engine.memory().tensors).toBe(before);
      engine.dispose(bound.held);
    },
  );
});

/** Outputs of a row and what each of them has as derivative in θ, by the reference. */
function jacobian(network: Network, parameters: Float32Array, x: ArrayLike<number>): number[][] {
  const pass = () => {
    const tape = new Tape();
    const theta = Array.from(parameters, (value) => tape.node(value));
    let used = 0;
    let rows: Rows = { shape: network.input.shape, values: Array.from(x, (value) => tape.node(value)) };
    for (const layer of network.layers)
      rows = applyLayer(tape, layer, [rows], (count) => theta.slice(used, (used += count)));
    return { tape, theta, outputs: rows.values };
  };
  return pass().outputs.map((_, j) => {
    const { tape, theta, outputs } = pass();
    outputs[j]!.grad = 1;
    tape.backward();
    return theta.map(({ grad }) => grad);
  });
}

it('kroneckerSums: CG with them takes fewer iterations on a network that maps images to images', async () => {
  const { engine } = await openEngine('cpu');
  const conv = (filters: number, activation: string) =>
    ({ type: 'conv2d', filters, kernelSize: [3, 3], padding: 'same', activation }) as const;
  const layers = [conv(4, 'tanh'), conv(2, 'linear'), { type: 'flatten' }];
  const rows = 24;
  const { network, parameters, batch, uniform } = networkProblem(
    { input: { shape: [6, 6, 1] }, layers, loss: 'squaredError' },
    ...([rows, 3, { size: 0.5 }] as const),
  );
  // Smooth images, of which some patches are far more frequent than others.
  const features = batch.features.map((noise, i) => {
    const [row, y, x] = [Math.floor(i / 36), Math.floor(i / 6) % 6, i % 6];
    return Math.fround(1 + Math.sin(row + y / 2) * Math.cos(2 * row + x / 2) + 0.1 * noise);
  });
  const blocks = kroneckerBlocks(network);
  const bound = bindNetwork(engine, network, parameters);
  const sums = await kroneckerSums(
    engine,
    bound,
    { ...batch, features },
    blocks,
    generator(7),
    engine.workBytes,
  );
  engine.dispose(bound.held);
  let at = 0;
  const next = (size: number) =>
    symmetricEigen(
      sums.slice(at, (at += size ** 2)).map((value) => value / rows),
      size,
    );
  const size = parameters.length;
  const inverse = new KroneckerInverse(
    {
      blocks: blocks.map((block) => ({ ...block, input: next(block.rows), output: next(block.units) })),
      l2: new Float64Array(size),
    },
    plainProduct,
  );

  // The Gauss-Newton matrix of the squared error, 2·JᵀJ over the rows.
  const matrix: Matrix = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let row = 0; row < rows; row++)
    for (const gradient of jacobian(network, parameters, features.subarray(36 * row, 36 * (row + 1))))
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++) matrix[i]![j]! += (2 / rows) * gradient[i]! * gradient[j]!;
  const v = Float64Array.from(uniform(2 * size));
  const damping = 0.01;
  const solve = (preconditioner?: Preconditioner) =>
    conjugateGradient(denseOperator(matrix), v, {
      ...{ damping, tolerance: 1e-4, iterations: 1000, preconditioner },
    });
  const plain = await solve();
  const kfac = await solve({
    async apply(residuals, into) {
      for (const [k, residual] of residuals.entries()) into[k]!.set(await inverse.apply(residual, damping));
    },
  });
  console.log(`plain: ${plain.iterations} iterations, kfac: ${kfac.iterations}, p = ${size}`);
  expect([plain.status, kfac.status]).toEqual(['converged', 'converged']);
  // 211 and 121 here. Derivatives at neighbouring positions are correlated, which KFC takes them not to be.
  expect(kfac.iterations).toBeLessThan(0.7 * plain.iterations);
});
