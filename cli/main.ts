#!/usr/bin/env node
import { Command } from 'commander';
import { version } from '../protocol/version.js';
import { addDatasetCommands } from './commands/dataset.js';
import { addDemoCommand } from './commands/demo.js';
import { addJobCommands } from './commands/job.js';
import { addModelCommands } from './commands/model.js';
import { addPlotCommand } from './commands/plot.js';
import { addProcessCommands } from './commands/processes.js';
import { addSpectrumCommand } from './commands/spectrum.js';
import { addSubmitCommands } from './commands/submit.js';
import { exitOnUsage } from './terminal/fail.js';

const program = exitOnUsage(new Command('ihvp'))
  .description('inverse-Hessian-vector products (H + λI)⁻¹ v over datasets that do not fit one device')
  .version(version)
  .addHelpText('after', '\nExample:\n  $ ihvp demo');

addDemoCommand(program);
addProcessCommands(program);
addDatasetCommands(program);
addModelCommands(program);
addSubmitCommands(program);
addSpectrumCommand(program);
addJobCommands(program);
addPlotCommand(program);

await program.parseAsync();
