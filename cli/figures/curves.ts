import type { TopLevelSpec } from 'vega-lite';
import type { Report } from '../../protocol/jobs.js';
import { colours } from './render.js';

export interface Curve {
  name: string;
  points: { products: number; residual: number }[];
}

export interface CurvesOptions {
  title: string;
  subtitle?: string;
  /** What `residual` is. */
  measure: string;
}

/** A residual against products, logarithmic, a line for each curve and a dot where it ended. */
export function curvesFigure(curves: Curve[], { title, subtitle, measure }: CurvesOptions): TopLevelSpec {
  const rows = curves.flatMap(({ name, points }) =>
    points
      .filter(({ residual }) => residual > 0)
      .map((point, i, all) => ({ ...point, name, last: i === all.length - 1 })),
  );
  const wide = rows.reduce((most, { products }) => Math.max(most, products), 0);
  const narrow = curves.reduce(
    (least, { points }) => Math.min(least, points.at(-1)?.products ?? Infinity),
    Infinity,
  );
  return {
    title: { text: title, ...(subtitle !== undefined && { subtitle }) },
    width: 560,
    height: 340,
    data: { values: rows },
    encoding: {
      x: {
        field: 'products',
        type: 'quantitative',
        title: 'Hessian-vector products (passes over the data × right-hand sides)',
        // Methods of very different cost are only seen side by side on a logarithmic axis.
        ...(curves.length > 1 && wide > 30 * narrow && { scale: { type: 'log' } }),
      },
      y: {
        field: 'residual',
        type: 'quantitative',
        title: measure,
        scale: { type: 'log' },
        axis: { format: '.0e', tickCount: 8 },
      },
      color: {
        field: 'name',
        type: 'nominal',
        title: null,
        sort: null,
        scale: { range: colours },
        ...(curves.length === 1 && { legend: null }),
      },
    },
    layer: [
      { mark: { type: 'line', strokeWidth: 2 } },
      { transform: [{ filter: 'datum.last' }], mark: { type: 'point', filled: true, size: 70, opacity: 1 } },
    ],
  };
}

/** What a report's `convergence` measures. */
export function measureOf({ request }: Report): string {
  if (request.type === 'fit') return 'gradient norm ‖∇f‖';
  return request.type === 'solve' && request.method.name === 'lissa'
    ? 'relative change of a pass'
    : 'relative residual ‖v − (H + λI)s‖/‖v‖';
}
