import { estimateOf, type Estimate } from './estimate.js';
import { quadrature, type Tridiagonal } from './lanczos-quadrature.js';
import type { SmallEigensolver } from './small-eigen.js';

export interface LogDeterminant extends Estimate {
  /** How far the estimate moved in the last quarter of the steps: about what more steps would still change, or more. */
  truncation: number;
}

/**
 * log det(H + λI) = tr log(H + λI) by stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017): the mean over probes of
 * ‖z‖² Σⱼ wⱼ log(θⱼ + λ). Undefined where some θⱼ + λ ≤ 0: H + λI is not positive definite then.
 */
export function logDeterminant(
  probes: readonly Tridiagonal[],
  damping: number,
  eigensolver: SmallEigensolver,
): LogDeterminant | undefined {
  const after = (part: number) =>
    estimateOf(
      probes.map((probe) => {
        const { nodes, weights } = quadrature(probe, eigensolver, Math.ceil(part * probe.alphas.length));
        return probe.square * nodes.reduce((sum, node, j) => sum + weights[j]! * Math.log(node + damping), 0);
      }),
    );
  const all = after(1);
  if (!Number.isFinite(all.value)) return undefined;
  return { ...all, truncation: Math.abs(all.value - after(0.75).value) };
}
