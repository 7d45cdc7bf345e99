import { describe } from '@jest/globals';
import type { EngineName } from '../../worker/engines/names.js';
import { absent } from './engines.js';
import { testedEngines } from './tested-engines.js';

/**
 * Describes `body` for every engine, or those `among`, `%s` in the title being its name; one that does not start is shown
 * as skipped.
 */
export function describeEngines(
  title: string,
  body: (name: EngineName) => void,
  among: readonly EngineName[] = testedEngines,
): void {
  for (const name of among) {
    const reason = absent.get(name);
    const titled = title.replace('%s', name);
    if (reason === undefined) describe(titled, () => body(name));
    else describe.skip(`${titled} (does not start: ${reason})`, () => body(name));
  }
}
