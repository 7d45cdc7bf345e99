import { TooLargeError } from '../../protocol/errors.js';
import type { SpectrumRequest } from '../../protocol/requests.js';
import type { Spectrum } from '../../protocol/spectrum.js';
import { symmetricEigen } from '../dense/symmetric-eigen.js';
import { lanczos } from '../solvers/lanczos.js';
import { quadrature, tridiagonals, type Tridiagonal } from '../solvers/lanczos-quadrature.js';
import { logDeterminant } from '../solvers/log-determinant.js';
import { spectralDensity } from '../solvers/spectral-density.js';
import { hutchinson, hutchPlusPlus } from '../solvers/trace.js';
import type { Context, Outcome } from './context.js';
import { normalVectors, signVectors } from './random-vectors.js';
import { solverOptions } from './solver-options.js';
import { spectrumAdvice } from './spectrum-advice.js';

/** Float64 values of a Lanczos basis for eigenpairs (2 GiB), and of those of all probes at work (256 MiB). */
const basisValues = 2 ** 28;
const probeValues = 2 ** 25;
/** Numbers that keep the random streams of a request's parts apart. */
const streams = { eigenpairs: 0, quadrature: 1, trace: 2 };

/** Extreme eigenpairs, trace, log-determinant and density of H, as far as they are asked for. */
export async function spectrum(request: SpectrumRequest, context: Context): Promise<Outcome> {
  const eigenpairs = await extremes(request, context);
  const probes = await probed(request, context);
  const trace = await traceOf(request, probes, context);
  const determinant = request.logDeterminant
    ? logDeterminant(probes!, request.damping, symmetricEigen)
    : undefined;
  const found: Spectrum = {
    ...eigenpairs?.found,
    ...(trace && { trace }),
    ...(determinant && { logDeterminant: determinant }),
    ...(request.density && {
      density: spectralDensity(probes!.map((probe) => quadrature(probe, symmetricEigen))),
    }),
  };
  return {
    status: eigenpairs ? (eigenpairs.converged ? 'converged' : 'iteration-limit') : 'done',
    advice: spectrumAdvice(request, found),
    ...(eigenpairs && { vectors: eigenpairs.vectors }),
    report: {
      spectrum: found,
      ...(request.logDeterminant && { damping: request.damping }),
      ...(eigenpairs && { iterations: eigenpairs.iterations }),
    },
  };
}

async function extremes(
  { largest, smallest, tolerance, maxIterations, blockSize, seed }: SpectrumRequest,
  context: Context,
) {
  const { operator } = context;
  const count = Math.min(operator.size, largest + smallest);
  if (count === 0) return undefined;
  if ((2 * count + 10 + blockSize) * operator.size > basisValues)
    throw new TooLargeError(`the basis for ${count} eigenpairs of ${operator.size} values is too large`, {
      hint: `ask for at most ${Math.floor((basisValues / operator.size - 10 - blockSize) / 2)}`,
    });
  context.stage('eigenvalues');
  const { values, vectors, residuals, converged, iterations } = await lanczos(operator, {
    ...solverOptions(context, tolerance),
    ...{ wanted: { largest, smallest }, tolerance, iterations: maxIterations, blockSize },
    random: normalVectors(operator.size, seed, streams.eigenpairs),
    eigensolver: symmetricEigen,
  });
  const pairs = [...values].map((value, i) => ({ value, residual: residuals[i]! }));
  return {
    found: {
      ...(largest > 0 && { largest: pairs.slice(0, largest) }),
      ...(smallest > 0 && { smallest: pairs.slice(largest) }),
    },
    vectors: { file: 'eigenvectors.arrow', values: vectors, count },
    converged,
    iterations,
  };
}

/** The Lanczos recursions from random signs that the log-determinant and the density are made of. */
async function probed(request: SpectrumRequest, context: Context): Promise<Tridiagonal[] | undefined> {
  const onlyTrace = !request.logDeterminant && !request.density;
  if (onlyTrace && request.trace !== 'hutchinson') return undefined;
  const { operator } = context;
  context.stage(onlyTrace ? 'trace' : 'quadrature');
  return tridiagonals(operator, {
    ...solverOptions(context),
    probe: signVectors(operator.size, request.seed, streams.quadrature),
    probes: request.probes,
    steps: onlyTrace ? 1 : request.steps,
    vectors: probeValues / operator.size,
  });
}

async function traceOf(
  { trace, probes, seed }: SpectrumRequest,
  recursions: Tridiagonal[] | undefined,
  context: Context,
) {
  if (trace === undefined) return undefined;
  if (trace === 'hutchinson') return hutchinson(recursions!);
  const { operator } = context;
  context.stage('trace');
  return hutchPlusPlus(operator, {
    ...solverOptions(context),
    probe: signVectors(operator.size, seed, streams.trace),
    probes,
  });
}
