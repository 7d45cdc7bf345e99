import { Option } from 'commander';
import { engineChoices } from '../worker/engines/names.js';

/** `--engine`, with the names that a worker knows. */
export const engineOption = () =>
  new Option('--engine <name>', 'what does the arithmetic; auto takes the fastest that starts')
    .choices(engineChoices)
    .default('auto');
