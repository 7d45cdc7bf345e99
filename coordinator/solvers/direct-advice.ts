import { show } from './vectors.js';

export interface DirectOutcome {
  damping: number;
  tolerance: number;
  definite: boolean;
  singular: boolean;
  conditionNumber: number;
  /** The largest true residual. */
  worst: number;
}

/** Rounding of the float32 products that the matrix is made of. */
const rounding = 2 ** -24;

/** What the factorisation came to and what to do next. */
export function directAdvice(outcome: DirectOutcome): string {
  const { damping, tolerance, definite, singular, conditionNumber: condition, worst } = outcome;
  const matrix = `H + ${show(damping)}·I`;
  if (singular) return `${matrix} is singular: no solution. Use ${damping > 0 ? 'more' : 'some'} damping.`;
  const says = [
    definite
      ? `${matrix} was factorised: its condition number is about ${show(condition)}, the residual at most ${show(worst)}.`
      : `${matrix} is not positive definite, and was solved all the same (LU with pivots): its condition number is about ` +
        `${show(condition)}, the residual at most ${show(worst)}. Where a minimum was meant, use more damping or the ` +
        `gauss-newton curvature.`,
  ];
  if (worst > tolerance || condition * rounding > 0.1)
    says.push(
      `Products are float32, so an answer can be wrong by the condition number times 6e-8, ${show(condition * rounding)} here: ` +
        `more damping makes it sharper.`,
    );
  if (worst >= 1) says.push('Where the answer was no better than s = 0, that is handed out.');
  return says.join(' ');
}
