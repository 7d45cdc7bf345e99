import type { TopLevelSpec } from 'vega-lite';
import { colours } from './render.js';

export interface Trajectory {
  name: string;
  /** The iterate after each of these steps, in the plane. */
  points: { step: number; x: number; y: number }[];
  /** What it should come to. */
  goal: { x: number; y: number };
}

export interface Frame {
  x: [number, number];
  y: [number, number];
}

const clamp = (value: number, [low, high]: [number, number]) => Math.min(Math.max(value, low), high);

/**
 * Iterates in the plane, joined, numbered by step and fading in; crosses where they should end. What leaves the frame
 * stands as a triangle at its edge.
 */
export function trajectoryFigure(
  trajectories: Trajectory[],
  frame: Frame,
  { title, palette = colours }: { title: string; palette?: string[] },
): TopLevelSpec {
  const numbered = labelled(trajectories, frame);
  const rows = trajectories.flatMap(({ name, points }) =>
    points.map((point, i) => {
      const { step, x, y } = point;
      const [px, py] = [clamp(x, frame.x), clamp(y, frame.y)];
      return {
        name,
        step,
        x: px,
        y: py,
        outside: px !== x || py !== y,
        part: (i + 1) / points.length,
        label: numbered.has(point) ? String(step) : '',
      };
    }),
  );
  const goals = trajectories.map(({ name, goal }) => ({ name, ...goal }));
  const shared = goals.every(({ x, y }) => x === goals[0]!.x && y === goals[0]!.y);
  const at = (field: 'x' | 'y', name: string) => ({
    field,
    type: 'quantitative' as const,
    title: name,
    scale: { domain: frame[field], nice: false, zero: false },
  });
  const color = {
    field: 'name',
    type: 'nominal' as const,
    title: null,
    sort: null,
    scale: { domain: trajectories.map(({ name }) => name), range: palette },
    legend: trajectories.length === 1 ? null : { symbolOpacity: 1 },
  };
  const position = { x: at('x', 's₁'), y: at('y', 's₂') };
  const fading = {
    field: 'part',
    type: 'quantitative' as const,
    scale: { domain: [0, 1], range: [0.25, 1] },
    legend: null,
  };
  return {
    title,
    width: 560,
    height: 380,
    data: { values: rows },
    layer: [
      {
        mark: { type: 'line', strokeWidth: 1.2, opacity: 0.45 },
        encoding: { ...position, color, order: { field: 'step', type: 'quantitative' } },
      },
      {
        transform: [{ filter: '!datum.outside' }],
        mark: { type: 'point', filled: true, size: 42 },
        encoding: { ...position, color, opacity: fading },
      },
      {
        transform: [{ filter: 'datum.outside' }],
        mark: { type: 'point', filled: true, size: 110, shape: 'triangle', opacity: 1 },
        encoding: { ...position, color },
      },
      {
        transform: [{ filter: "datum.label !== ''" }],
        mark: { type: 'text', fontSize: 10, dy: -9 },
        encoding: { ...position, color, text: { field: 'label' } },
      },
      {
        data: { values: goals },
        mark: {
          type: 'point',
          shape: 'cross',
          filled: true,
          size: 130,
          stroke: 'white',
          strokeWidth: 1,
          opacity: 1,
        },
        encoding: { ...position, color: shared ? { value: 'black' } : color },
      },
    ],
  };
}

/** Numbers for the points that have room: not within 4.5 % of the frame of one that has its number already. */
function labelled(trajectories: Trajectory[], frame: Frame): Set<Trajectory['points'][number]> {
  const near = 0.045;
  const kept = new Set<Trajectory['points'][number]>();
  const taken: { u: number; w: number }[] = [];
  for (const point of trajectories.flatMap(({ points }) => points)) {
    const u = (clamp(point.x, frame.x) - frame.x[0]) / (frame.x[1] - frame.x[0]);
    const w = (clamp(point.y, frame.y) - frame.y[0]) / (frame.y[1] - frame.y[0]);
    if (taken.some((other) => Math.hypot(other.u - u, other.w - w) < near)) continue;
    taken.push({ u, w });
    kept.add(point);
  }
  return kept;
}
