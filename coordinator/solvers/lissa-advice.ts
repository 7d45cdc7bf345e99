import type { LissaOptions, LissaSolution } from './lissa.js';
import type { Status } from './types.js';
import { show } from './vectors.js';

/**
 * @param curvatures sᵀHs/sᵀs per right-hand side: where a chain diverged, at most the eigenvalue that it diverged along
 * @param saferScale one that is known to do, where it was asked for
 */
export function lissaAdvice(
  solution: Omit<LissaSolution, 'advice'>,
  curvatures: number[],
  { tolerance, average, convention, damping }: LissaOptions,
  saferScale = 0,
): string {
  const { columns, trueResiduals, residualHistory, estimates, iterations, scale, depth, restarts } = solution;
  const { standardErrors, residualErrors } = solution;
  const of = (status: Status) => [...columns.keys()].filter((k) => columns[k] === status);
  const worst = (values: number[], some: number[]) => show(Math.max(...some.map((k) => values[k]!)));
  const count = (some: number[]) => `${some.length} of ${columns.length} right-hand sides`;
  const says: string[] = [];
  if (restarts.length > 0)
    says.push(
      `Scale ${restarts.map((restart) => show(restart.scale)).join(', ')} diverged, seen after at most ` +
        `${Math.ceil(Math.max(...restarts.map(({ steps }) => steps)))} steps; ${show(scale)} took its place.`,
    );

  const diverged = of('diverged');
  if (diverged.length > 0) {
    const shrink = convention === 'authors' ? 1 - damping : 1 - damping / scale;
    says.push(
      `${count(diverged)} diverged in pass ${residualHistory.length + 1} of ${depth}; what is returned is the last ` +
        `state before the growth, at a residual up to ${worst(trueResiduals, diverged)}. ` +
        cure(
          diverged.map((k) => curvatures[k]!),
          scale,
          shrink,
          saferScale,
        ),
    );
  }

  const stagnated = of('stagnated');
  if (stagnated.length > 0)
    says.push(
      `${count(stagnated)} ended at a residual up to ${worst(trueResiduals, stagnated)}, no better than s = 0: either the ` +
        `recursion diverges slowly or the noise of the minibatches outweighs the answer. Raise the scale ` +
        `(now ${show(scale)}, say ${show(2 * scale)}), then the batch size and the samples.`,
    );

  const converged = of('converged').filter((k) => trueResiduals[k]! > 0);
  if (converged.length > 0)
    says.push(
      `${count(converged)} converged in ${iterations} passes: residual at most ${worst(trueResiduals, converged)}.`,
    );

  const error = (some: number[]) =>
    (standardErrors ? `; standard error over samples up to ${worst(standardErrors, some)}` : '') +
    (residualErrors ? `, which is ${worst(residualErrors, some)} of the residual` : '');
  const lessNoise =
    `What is left is noise and bias: ${average ? '' : 'average the iterates, '}raise the scale (and the depth with it) or ` +
    `the batch size; more samples help only as far as the standard error.`;

  const unfinished = of('iteration-limit');
  if (unfinished.length > 0)
    says.push(
      `${count(unfinished)} reached the limit of ${depth} passes at a residual up to ${worst(trueResiduals, unfinished)} ` +
        `(tolerance ${show(tolerance!)}${error(unfinished)}). ` +
        ((estimates.at(-1) ?? Infinity) <= tolerance!
          ? lessNoise
          : 'Allow more depth, or raise the damping.'),
    );

  const completed = of('completed');
  if (completed.length > 0) {
    const change = residualHistory.at(-1) ?? 1;
    const ratio = change / (residualHistory.at(-2) ?? Infinity);
    says.push(
      `${count(completed)} completed ${depth} passes: residual up to ${worst(trueResiduals, completed)}; the last ` +
        `pass changed the state by up to ${show(change)}` +
        (ratio > 0 ? `, ${show(ratio)} times the pass before` : '') +
        `${error(completed)}. ` +
        (ratio > 0.9 ? lessNoise : 'More depth brings it further.'),
    );
  }
  return says.join(' ');
}

/** Which scale or damping would have held, from the curvature along which the chains grew. */
function cure(curvatures: number[], scale: number, shrink: number, saferScale: number): string {
  const lowest = Math.min(...curvatures);
  const largest = Math.max(...curvatures);
  if (lowest < 0)
    return (
      `The curvature there is negative (${show(lowest)}): H is indefinite, and no scale helps. Raise the damping by more ` +
      `than ${show(-lowest)}, say ${show(-2 * lowest)}, or use the gauss-newton curvature.`
    );
  // Convergence along eigenvalue μ: |shrink − μ/scale| < 1.
  if (largest > scale * (1 + shrink) * 0.9)
    return (
      `The curvature there is ${show(largest)}, and a scale of ${show(scale)} bears less than ${show(scale * (1 + shrink))}: use a scale ` +
      `of at least the largest eigenvalue, say ${show(Math.max(1.25 * largest, saferScale))}.`
    );
  return (
    `The mean curvature there is only ${show(largest)}, so it is single minibatches that are too steep for the scale of ` +
    `${show(scale)}: raise the scale, say to ${show(Math.max(4 * scale, saferScale))}, or the batch size.`
  );
}
