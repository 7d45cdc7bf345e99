import { Option, type Command } from 'commander';
import type { Client } from '../../protocol/client.js';
import { BadRequestError } from '../../protocol/errors.js';
import { curvatures, type Curvature, type RequestInput } from '../../protocol/requests.js';
import { followJob, makeFolder, reportText, saveResult } from '../follow-job.js';
import {
  command,
  orAuto,
  parseCount,
  parseNotNegative,
  parsePositive,
  parseRows,
  withClient,
  type FarmOptions,
} from '../options.js';
import { run } from '../terminal/fail.js';
import { print } from '../terminal/output.js';
import { readVectors } from '../vector-file.js';
import { addMethodOptions, readMethod, type MethodOptions } from './method-options.js';
import { present, unused } from './option-fields.js';
import { addRepeatOption, requestOfReport } from './repeat-option.js';

export interface RequestOptions extends FarmOptions {
  model: string;
  dataset: string;
  curvature: Curvature;
  hvp: 'exact' | 'finite-difference';
  step?: number;
  leafRows?: number;
  id?: string;
  detach?: boolean;
  out?: string;
}

interface ProductOptions extends RequestOptions {
  rhs: string;
  damping: number;
}

type SolveOptions = Omit<ProductOptions, 'damping'> &
  MethodOptions & { damping: number | 'auto'; from?: string };

interface FitOptions extends RequestOptions {
  into: string;
  replace?: boolean;
  tolerance?: number;
  maxIterations?: number;
}

const rhsHelp = 'ones, grad:DATASET:ROWS (rows as 0-4,17), or a file of vectors (.arrow, .npy)';

/** The commands that submit a request: solve, hvp, gradient, fit. */
export function addSubmitCommands(program: Command): void {
  const solve = request(
    program,
    'solve',
    'compute s = (H + λI)⁻¹ v',
    'ihvp solve --model softmax --dataset mnist-train --rhs grad:mnist-test:0-9 --damping 0.01 --out ./result',
  )
    .requiredOption('--rhs <vectors>', `right-hand sides: ${rhsHelp}`)
    .option('--damping <number>', 'λ, or auto', orAuto(parseNotNegative), 0);
  addRepeatOption(addMethodOptions(solve)).action(
    run(async (options: SolveOptions, command: Command) => {
      await submit(options, async (client) =>
        options.from === undefined
          ? {
              type: 'solve',
              ...common(options),
              rhs: await rightHandSides(client, options.rhs),
              damping: options.damping,
              method: readMethod(options),
            }
          : requestOfReport(client, options.from, command),
      );
    }),
  );

  request(
    program,
    'hvp',
    'multiply vectors by H + λI',
    'ihvp hvp --model softmax --dataset mnist-train --rhs ones',
  )
    .requiredOption('--rhs <vectors>', `the vectors: ${rhsHelp}`)
    .option('--damping <number>', 'λ', parseNotNegative, 0)
    .action(
      run(async (options: ProductOptions) => {
        await submit(options, async (client) => ({
          type: 'hvp',
          ...common(options),
          rhs: await rightHandSides(client, options.rhs),
          damping: options.damping,
        }));
      }),
    );

  request(
    program,
    'gradient',
    'the mean loss and its gradient',
    'ihvp gradient --model softmax --dataset mnist-train',
  ).action(
    run(async (options: RequestOptions) => {
      await submit(options, () => Promise.resolve({ type: 'gradient', ...common(options) }));
    }),
  );

  request(
    program,
    'fit',
    'train a model by damped Newton',
    'ihvp fit --model softmax --dataset mnist-train --into softmax-fitted',
  )
    .requiredOption('--into <name>', 'the name of the trained model')
    .option('--replace', 'replace a model of that name')
    .option('--tolerance <number>', 'stop at ‖∇‖ ≤ tolerance (1e-5)', parsePositive)
    .option('--max-iterations <n>', 'Newton iterations at most (100)', parseCount)
    .action(
      run(async (options: FitOptions) => {
        await submit(options, () =>
          Promise.resolve({
            type: 'fit',
            ...common(options),
            into: options.into,
            replace: options.replace ?? false,
            ...present({ gradientTolerance: options.tolerance, maxIterations: options.maxIterations }),
          }),
        );
      }),
    );
}

export function request(program: Command, name: string, description: string, example: string): Command {
  return command(program, name, description, example)
    .requiredOption('--model <name>', 'the model')
    .requiredOption('--dataset <name>', 'the training data')
    .addOption(
      new Option(
        '--curvature <matrix>',
        'H: the Hessian, or the Gauss-Newton matrix, which is never indefinite',
      )
        .choices([...curvatures])
        .default('hessian'),
    )
    .addOption(
      new Option('--hvp <mode>', 'how products with H are made')
        .choices(['exact', 'finite-difference'])
        .default('exact'),
    )
    .option('--step <r>', 'step of the finite differences (0.01)', parsePositive)
    .option('--leaf-rows <n>', 'rows of a leaf, the unit of reduction (1024; lissa: a shard)', parseCount)
    .option('--id <name>', "the job's id: the same id again is the same job")
    .option('--detach', 'print the job and do not wait for it')
    .option('--out <folder>', 'write the result files here');
}

const defaultStep = 1e-2;

export function common({ model, dataset, curvature, hvp, step, leafRows }: RequestOptions) {
  if (hvp === 'exact' && step !== undefined) throw unused(['--step'], '--hvp finite-difference');
  return {
    model,
    dataset,
    curvature,
    hvp: hvp === 'exact' ? { mode: hvp } : { mode: hvp, step: step ?? defaultStep },
    ...present({ leafRows }),
  };
}

async function rightHandSides(
  client: Client,
  text: string,
): Promise<Extract<RequestInput, { type: 'solve' }>['rhs']> {
  if (text === 'ones') return { kind: 'ones' };
  const gradient = /^grad:([^:]+):(.+)$/.exec(text);
  if (gradient) return { kind: 'gradient', dataset: gradient[1]!, rows: readRows(gradient[2]!) };
  const { values, count } = await readVectors(text);
  return { kind: 'vectors', name: await client.uploadVectors(values, count) };
}

function readRows(text: string): number[] {
  try {
    return parseRows(text);
  } catch (error) {
    throw new BadRequestError((error as Error).message, { hint: 'write --rhs grad:DATASET:0-4,17' });
  }
}

export async function submit(
  options: RequestOptions,
  makeRequest: (client: Client) => Promise<RequestInput>,
): Promise<void> {
  // Before the work, not after it.
  if (options.out) await makeFolder(options.out);
  await withClient(options, async (client) => {
    const json = options.json ?? false;
    const job = await client.submit(await makeRequest(client), options.id);
    if (options.detach) {
      print(options, { job }, () => `job ${job.id} is ${job.state}; ihvp watch ${job.id}`);
      return;
    }
    if (!json) process.stderr.write(`job ${job.id}\n`);
    const result = await followJob(client, job.id, json);
    const saved = options.out ? await saveResult(client, result, options.out) : [];
    print(options, { ...result, saved }, () => reportText(result, saved));
  });
}
