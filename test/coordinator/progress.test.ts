import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ProgressReporter } from '../../coordinator/progress.js';
import { progressSchema, type Progress } from '../../protocol/jobs.js';

function recording() {
  const events: Progress[] = [];
  const reporter = new ProgressReporter('job', (progress) => events.push(progress), 0);
  return { events, reporter };
}

describe('ProgressReporter', () => {
  it('update: no more than four events a second, and flush gives the one held back', () => {
    const { events, reporter } = recording();
    reporter.stage('cg', 2, 0);
    for (let ms = 10; ms <= 1000; ms += 10)
      reporter.update({ iteration: ms / 10, iterations: 200, products: ms / 10 }, 2, ms);
    expect(events.length).toBeLessThanOrEqual(5);
    reporter.flush();
    expect(events.at(-1)).toMatchObject({
      stage: 'cg',
      iteration: 100,
      workers: 2,
      seconds: 1,
      fraction: 0.5,
    });
    const count = events.length;
    reporter.flush();
    expect(events).toHaveLength(count);
  });

  it('stage: each begins with an event, after what its predecessor held back', () => {
    const { events, reporter } = recording();
    reporter.stage('a', 1, 0);
    reporter.update({ iteration: 1, products: 1 }, 1, 1);
    reporter.stage('b', 1, 2);
    expect(events.map(({ stage, iteration }) => `${stage}${iteration}`)).toEqual(['a0', 'a1', 'b0']);
  });

  it('update: rate and time left from what was done in the stage', () => {
    const { events, reporter } = recording();
    reporter.stage('loading', 1, 0);
    reporter.stage('cg', 1, 5000);
    reporter.update({ iteration: 20, iterations: 100, products: 40 }, 1, 9000);
    expect(events.at(-1)).toMatchObject({ productsPerSecond: 10, fraction: 0.2, etaSeconds: 16, seconds: 9 });
  });

  it('update: a residual that falls steadily is done by its logarithm', () => {
    const { events, reporter } = recording();
    reporter.stage('cg', 1, 0);
    const at = (iteration: number, residual: number) => {
      reporter.update(
        { iteration, iterations: 1000, residual, target: 1e-6, products: 1 },
        1,
        iteration * 1000,
      );
      return events.at(-1)!.fraction!;
    };
    expect(at(1, 1)).toBeCloseTo(1 / 1000, 10); // nothing fell yet: iterations count
    expect(at(2, 1e-3)).toBeCloseTo(0.5, 10);
    expect(at(3, 10)).toBeCloseTo(3 / 1000, 10);
    expect(at(4, 1e-7)).toBe(1);
  });

  it('update: whatever the numbers, the event fits its schema after JSON', () => {
    const odd = fc.oneof(fc.double(), fc.constantFrom(0, -0, Infinity, NaN, Number.MIN_VALUE));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2000), odd, fc.double({ min: 0, max: 1e15, noNaN: true })), {
          maxLength: 20,
        }),
        fc.option(fc.constantFrom(1e-5, 1e-300, 1), { nil: undefined }),
        (updates, target) => {
          const { events, reporter } = recording();
          reporter.stage('s', 0, 0);
          let now = 0;
          for (const [iteration, residual, products] of updates)
            reporter.update(
              { iteration, iterations: 1000, residual, products, ...(target && { target }) },
              1,
              (now += 100),
            );
          reporter.flush();
          for (const event of events) progressSchema.parse(JSON.parse(JSON.stringify(event)));
        },
      ),
    );
  });
});
