/**
 * How would the model change if one digit counted for more? Trains softmax regression on a dataset of the farm, and
 * saves s = (H + λI)⁻¹ ∇ℓ(z) for one row z of another: upweighting z by ε moves the parameters by −ε·s.
 *
 *   ihvp up                                          # in another terminal; then export IHVP_NATS_URL as it says
 *   ihvp dataset import mnist
 *   node dist/examples/influence-of-one-digit.js --row 7
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { connect, parameterLayout, type RequestInput } from 'ihvp';

const { values: options } = parseArgs({
  options: {
    train: { type: 'string', default: 'mnist-train' },
    test: { type: 'string', default: 'mnist-test' },
    row: { type: 'string', default: '0' },
    out: { type: 'string', default: 'influence.arrow' },
    prefix: { type: 'string', default: 'ihvp' },
  },
});

const farm = await connect({ prefix: options.prefix });
try {
  const network = {
    input: { shape: [784] },
    layers: [{ type: 'dense' as const, units: 10, useBias: true, activation: 'linear' as const }],
    loss: 'softmaxCrossEntropy' as const,
    l2: 0.01,
  };
  const zeros = new Float32Array(parameterLayout(network).count);
  await (await farm.models()).put({ ...network, name: 'digits' }, zeros, true);

  const run = async (request: RequestInput) => {
    const job = await farm.submit(request);
    return farm.wait(job.id, {
      onProgress: ({ stage, iteration, residual }) =>
        console.log(`${request.type}: ${stage}, iteration ${iteration}, residual ${residual ?? '…'}`),
    });
  };
  const problem = { model: 'digits', dataset: options.train };
  const fitted = await run({ type: 'fit', ...problem, into: 'digits', gradientTolerance: 1e-4 });
  console.log(`trained: ‖∇‖ = ${fitted.report.gradientNorm}`);

  const solved = await run({
    type: 'solve',
    ...problem,
    rhs: { kind: 'gradient', dataset: options.test, rows: [Number(options.row)] },
    damping: 0.01,
    method: { name: 'cg' },
  });
  console.log(`solved: ${solved.report.advice}`);
  await writeFile(options.out, (await farm.file(solved.job.id, 'solution.arrow'))!);
  console.log(`saved: ${options.out}`);
} finally {
  await farm.close();
}
