import type { TopLevelSpec } from 'vega-lite';
import type { Report } from '../../protocol/jobs.js';
import { colours } from './render.js';

/** The spectral density of a spectrum job as an area, with the eigenvalues that were found as ticks; either may be missing. */
export function spectrumFigure(spectrum: NonNullable<Report['spectrum']>, title: string): TopLevelSpec {
  const { density, largest = [], smallest = [] } = spectrum;
  const eigenvalues = [...largest, ...smallest];
  const values = density?.eigenvalues.map((eigenvalue, i) => ({ eigenvalue, density: density.density[i]! }));
  return {
    title,
    width: 560,
    height: 300,
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
                },
              },
            },
          ]
        : []),
      ...(eigenvalues.length > 0
        ? [
            {
              data: { values: eigenvalues.map(({ value }) => ({ eigenvalue: value })) },
              mark: { type: 'tick' as const, color: colours[1]!, thickness: 2, height: 14, yOffset: -7 },
              encoding: {
                x: { field: 'eigenvalue', type: 'quantitative' as const, title: 'eigenvalue of H' },
                y: { value: 300 },
              },
            },
          ]
        : []),
    ],
  };
}
