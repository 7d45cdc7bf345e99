/** The mean of independent estimates, and its standard error; no error can be told from one of them. */
export interface Estimate {
  value: number;
  standardError: number | undefined;
}

/** Welford would not be more exact here: the values are few. */
export function estimateOf(values: readonly number[]): Estimate {
  const count = values.length;
  const value = values.reduce((sum, x) => sum + x, 0) / count;
  if (count < 2) return { value, standardError: undefined };
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return { value, standardError: Math.sqrt(squares / (count * (count - 1))) };
}
