import type { TopLevelSpec } from 'vega-lite';
import type { Report } from '../../protocol/jobs.js';
import { colours } from './render.js';

const height = 300;

/** The spectral density of a spectrum job as an area, with the eigenvalues that were found as ticks; either may be missing. */
export function spectrumFigure(
  spectrum: NonNullable<Report['spectrum']>,
  { title, subtitle }: { title: string; subtitle: string },
): TopLevelSpec {
  const { density, largest = [], smallest = [] } = spectrum;
  const eigenvalues = [...largest, ...smallest];
  const values = density?.eigenvalues.map((eigenvalue, i) => ({ eigenvalue, density: density.density[i]! }));
  return {
    title: { text: title, subtitle },
    width: 560,
    height,
    layer: [
      ...(values
        ? [
            {
              data: { values },
              mark: { type: 'area' as const, line: { color: colours[0]! }, color: colours[0]!, opacity: 0.3 },
              encoding: {
                x: { field: 'eigenvalue', type: 'quantitative' as const, title: 'eigenvalue of H' },
                // Most of a spectrum lies near zero: a root shows the rest beside it.
                y: {
                  field: 'density',
                  type: 'quantitative' as const,
                  title: 'density (square-root scale)',
                  scale: { type: 'sqrt' as const },
                  stack: null,
                },
              },
            },
          ]
        : []),
      ...(eigenvalues.length > 0
        ? [
            {
              data: { values: eigenvalues.map(({ value }) => ({ eigenvalue: value })) },
              mark: { type: 'rule' as const, color: colours[1]!, strokeWidth: 2 },
              encoding: {
                x: { field: 'eigenvalue', type: 'quantitative' as const, title: 'eigenvalue of H' },
                y: { value: height },
                y2: { value: height - 14 },
              },
            },
          ]
        : []),
    ],
  };
}
