import type { SpectrumRequest } from '../../protocol/requests.js';
import type { Spectrum } from '../../protocol/spectrum.js';
import { show } from '../solvers/vectors.js';

/** What was found and what to do next, a sentence for each thing asked. */
export function spectrumAdvice(request: SpectrumRequest, found: Spectrum): string {
  const says: string[] = [];
  const { largest, smallest, trace, density } = found;
  const pairs = [...(largest ?? []), ...(smallest ?? [])];
  const size = Math.max(...pairs.map(({ value }) => Math.abs(value)));
  const rough = pairs.filter(({ residual }) => residual > request.tolerance * size);
  if (pairs.length > 0)
    says.push(
      rough.length === 0
        ? `${pairs.length} eigenvalues, each within ${show(Math.max(...pairs.map(({ residual }) => residual)))} of one of H.`
        : `${rough.length} of ${pairs.length} eigenvalues did not converge in ${request.maxIterations} passes; each is as far ` +
            `from one of H as its residual says at most. Allow more iterations, or a larger tolerance.`,
    );
  if (smallest && smallest[0]!.value + smallest[0]!.residual < 0)
    says.push(
      `H is indefinite: (H + λI)⁻¹ needs a damping above ${show(-smallest[0]!.value)}, or the gauss-newton curvature.`,
    );
  if (trace) says.push(`Trace ${show(trace.value)}${plusMinus(trace.standardError)}.`);
  if (found.logDeterminant) {
    const { value, standardError, truncation } = found.logDeterminant;
    says.push(
      `Log-determinant ${show(value)}${plusMinus(standardError)}` +
        (truncation > (standardError ?? 0)
          ? `; the last quarter of the steps still moved it by ${show(truncation)}: allow more steps.`
          : '.'),
    );
  } else if (request.logDeterminant)
    says.push(
      `H + ${show(request.damping)}·I is not positive definite, so it has no log-determinant: raise the damping.`,
    );
  if (density)
    says.push(
      `Density from ${density.nodes.length} Ritz values between ${show(density.nodes[0]!)} and ${show(density.nodes.at(-1)!)}.`,
    );
  return says.join(' ');
}

const plusMinus = (error: number | undefined) => (error === undefined ? '' : ` ± ${show(error)}`);
