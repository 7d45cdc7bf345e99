import type { Quadrature } from './lanczos-quadrature.js';

export interface SpectralDensity {
  /** All probes' Ritz values, ascending, and their weights, which sum to 1: the part of the spectrum at each. */
  nodes: number[];
  weights: number[];
  /** Where the smooth density is given, evenly spaced. */
  eigenvalues: number[];
  /** Of eigenvalues per unit, integral 1. */
  density: number[];
  /** Standard deviation of the Gaussian that smooths it. */
  width: number;
}

/**
 * The density of eigenvalues, (1/p) Σᵢ δ(t − λᵢ), by stochastic Lanczos quadrature: the mean of the probes' quadratures
 * (Lin, Saad & Yang 2016; for networks Ghorbani, Krishnan & Xiao 2019), each node spread by a Gaussian.
 * @param points of the smooth curve; its width is 3 of them
 */
export function spectralDensity(probes: readonly Quadrature[], points = 256): SpectralDensity {
  const pairs = probes
    .flatMap(({ nodes, weights }) =>
      Array.from(nodes, (node, j) => [node, weights[j]! / probes.length] as const),
    )
    .sort(([a], [b]) => a - b);
  const [lowest, highest] = [pairs[0]![0], pairs.at(-1)![0]];
  const spread = 3;
  const margin = 4 * spread;
  // A single eigenvalue has a width too.
  const step = (highest - lowest || Math.abs(highest) || 1) / (points - 1 - 2 * margin);
  const width = spread * step;
  const eigenvalues = Array.from({ length: points }, (_, i) => lowest + (i - margin) * step);
  const density = eigenvalues.map((t) =>
    pairs.reduce((sum, [node, weight]) => sum + weight * Math.exp(-(((t - node) / width) ** 2) / 2), 0),
  );
  const scale = 1 / (width * Math.sqrt(2 * Math.PI));
  return {
    nodes: pairs.map(([node]) => node),
    weights: pairs.map(([, weight]) => weight),
    eigenvalues,
    density: density.map((value) => value * scale),
    width,
  };
}
