import { Option, type Command } from 'commander';
import { BadRequestError } from '../../protocol/errors.js';
import type { SpectrumRequest } from '../../protocol/requests.js';
import { parseCount, parseInteger, parseNotNegative, parsePositive } from '../options.js';
import { run } from '../terminal/fail.js';
import { present } from './option-fields.js';
import { common, request, submit, type RequestOptions } from './submit.js';

interface SpectrumOptions extends RequestOptions {
  largest?: number;
  smallest?: number;
  trace?: SpectrumRequest['trace'] | true;
  logdet?: boolean;
  damping?: number;
  density?: boolean;
  tolerance?: number;
  maxIterations?: number;
  blockSize?: number;
  probes?: number;
  steps?: number;
  seed?: number;
}

/** `ihvp spectrum`. */
export function addSpectrumCommand(program: Command): void {
  request(
    program,
    'spectrum',
    'eigenvalues, trace, log-determinant and spectral density of H',
    'ihvp spectrum --model softmax --dataset mnist-train --largest 5 --smallest 1 --trace --density',
  )
    .option('--largest <k>', 'the largest eigenvalues, with their vectors', parseInteger)
    .option('--smallest <k>', 'the smallest eigenvalues, with their vectors', parseInteger)
    .addOption(
      new Option('--trace [method]', 'the trace, by Hutch++ or by Hutchinson').choices([
        'hutch++',
        'hutchinson',
      ]),
    )
    .option('--logdet', 'the log-determinant of H + λI')
    .option('--damping <number>', 'λ of the log-determinant (0)', parseNotNegative)
    .option('--density', 'the density of eigenvalues')
    .option('--tolerance <number>', 'of eigenpairs: ‖Hx − θx‖ ≤ tolerance·‖H‖ (1e-4)', parsePositive)
    .option('--max-iterations <n>', 'passes for eigenpairs at most (300)', parseCount)
    .option('--block-size <n>', 'vectors of a pass for eigenpairs, for multiple eigenvalues (1)', parseCount)
    .option('--probes <n>', 'random vectors of trace, log-determinant and density (12)', parseCount)
    .option('--steps <n>', 'Lanczos steps from each of them (30)', parseCount)
    .option('--seed <n>', 'seed of the random vectors (0)', parseInteger)
    .action(
      run(async (options: SpectrumOptions) => {
        const { largest, smallest, trace, logdet, damping, density, ...rest } = options;
        if (!largest && !smallest && !trace && !logdet && !density)
          throw new BadRequestError('nothing was asked for', {
            hint: 'say --largest K, --smallest K, --trace, --logdet or --density',
          });
        const { tolerance, maxIterations, blockSize, probes, steps, seed } = rest;
        await submit(options, () =>
          Promise.resolve({
            type: 'spectrum',
            ...common(options),
            ...present({ largest, smallest, damping, density, logDeterminant: logdet }),
            ...present({ tolerance, maxIterations, blockSize, probes, steps, seed }),
            ...present({ trace: trace === true ? ('hutch++' as const) : trace }),
          }),
        );
      }),
    );
}
