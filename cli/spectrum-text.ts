import type { Spectrum } from '../protocol/spectrum.js';
import { formatNumber } from './terminal/format.js';

/** Lines on what a spectrum request found, for people. */
export function spectrumText({ largest, smallest, trace, logDeterminant, density }: Spectrum): string[] {
  const eigenvalues = (name: string, pairs: Spectrum['largest']) =>
    pairs
      ? [
          `  ${name}: ${pairs.map(({ value, residual }) => `${formatNumber(value, 6)} ± ${formatNumber(residual, 2)}`).join(', ')}`,
        ]
      : [];
  const estimate = (name: string, found: Spectrum['trace']) =>
    found
      ? [
          `  ${name}: ${formatNumber(found.value, 6)}` +
            (found.standardError === undefined
              ? ''
              : ` ± ${formatNumber(found.standardError, 2)} (standard error)`),
        ]
      : [];
  return [
    ...eigenvalues('largest eigenvalues', largest),
    ...eigenvalues('smallest eigenvalues', smallest),
    ...estimate('trace', trace),
    ...estimate('log-determinant of H + λI', logDeterminant),
    ...(density ? [`  density: ${density.eigenvalues.length} points, in report.spectrum.density`] : []),
  ];
}
