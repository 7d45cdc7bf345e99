import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startChild } from '../../cli/child-process.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker?.stop());

describe('startChild', () => {
  it.each([['coordinator'], ['worker', '--engine', 'cpu', '--threads', '1']])(
    '%s: asked to end, it ends by itself',
    async (...words) => {
      let isReady = () => {};
      const ready = new Promise<void>((resolve) => (isReady = resolve));
      const hear = (line: string) => void (line.endsWith('is ready') && isReady());
      const child = startChild([...words, '--prefix', broker.prefix], broker.url, hear);
      await Promise.race([ready, child.exited]);
      await child.stop();
      // null where a signal ended it.
      expect(await child.exited).toBe(0);
    },
  );
});
