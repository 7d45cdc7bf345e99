import type { Status } from './types.js';
import { show } from './vectors.js';

interface Facts {
  columns: Status[];
  /** sᵀHs/sᵀs per right-hand side: where a chain diverged, close to the eigenvalue that it diverged along. */
  curvatures: number[];
  trueResiduals: number[];
  residualHistory: number[];
  standardErrors: number[] | null;
  scale: number;
  shrink: number;
  depth: number;
}

export function lissaAdvice(facts: Facts): string {
  const { columns, trueResiduals, residualHistory, standardErrors, scale } = facts;
  const of = (status: Status) => [...columns.keys()].filter((k) => columns[k] === status);
  const worst = (values: number[], some: number[]) => show(Math.max(...some.map((k) => values[k]!)));
  const count = (some: number[]) => `${some.length} of ${columns.length} right-hand sides`;
  const says: string[] = [];

  const diverged = of('diverged');
  if (diverged.length > 0) {
    says.push(
      `${count(diverged)} diverged in pass ${residualHistory.length + 1} of ${facts.depth}; what is returned is the last ` +
        `state before the growth, at a residual up to ${worst(trueResiduals, diverged)}. ` +
        cure(
          diverged.map((k) => facts.curvatures[k]!),
          facts,
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

  const completed = of('completed');
  if (completed.length > 0) {
    const change = residualHistory.at(-1) ?? 1;
    const ratio = change / (residualHistory.at(-2) ?? Infinity);
    says.push(
      `${count(completed)} completed ${facts.depth} passes: residual up to ${worst(trueResiduals, completed)}; the last ` +
        `pass changed the state by up to ${show(change)}` +
        (ratio > 0 ? `, ${show(ratio)} times the pass before` : '') +
        (standardErrors ? `; standard error over samples up to ${worst(standardErrors, completed)}` : '') +
        `. ` +
        (ratio > 0.9
          ? 'If that change no longer falls from pass to pass, what is left is noise and bias: raise the scale (and the depth with it) or ' +
            'the batch size; more samples help only as far as the standard error.'
          : 'More depth brings it further.'),
    );
  }
  return says.join(' ');
}

/** Which scale or damping would have held, from the curvature along which the chains grew. */
function cure(curvatures: number[], { scale, shrink }: Facts): string {
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
      `of at least the largest eigenvalue, say ${show(1.25 * largest)}.`
    );
  return (
    `The mean curvature there is only ${show(largest)}, so it is single minibatches that are too steep for the scale of ` +
    `${show(scale)}: raise the scale, say to ${show(4 * scale)}, or the batch size.`
  );
}
