import { expect } from '@jest/globals';
import { openEagerEngine } from '../../../worker/engines/select.js';
import { exceeding } from '../../support/largest-errors.js';
import { kernelTolerance, secondOrderErrors, type Case } from './second-order.js';

/** Loss, derivatives and products equal float64, and nothing stays on the device. */
export async function expectSecondOrder(engineName: string, given: Case): Promise<Set<string>> {
  const { engine } = await openEagerEngine(engineName);
  const before = engine.memory();
  const { errors, kernels } = await secondOrderErrors(engine, given);
  expect(exceeding(errors, kernelTolerance)).toEqual({});
  expect(engine.memory()).toEqual(before);
  return kernels;
}
