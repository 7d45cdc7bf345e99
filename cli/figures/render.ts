import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { BadFileError, BadRequestError } from '../../protocol/errors.js';
import type { TopLevelSpec } from 'vega-lite';

/** Colours that people with any colour vision tell apart (Okabe & Ito 2008, the palest left out, and a wine red). */
export const colours = [
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#000000',
  '#882255',
];

/** Pixels of a PNG for each unit of the figure. */
const sharpness = 2;

const look = {
  background: 'white',
  padding: 12,
  font: 'DejaVu Sans, Helvetica, Arial, sans-serif',
  axis: { labelFontSize: 12, titleFontSize: 13, titleFontWeight: 'normal', gridColor: '#e8e8e8' },
  legend: { labelFontSize: 12, titleFontSize: 13, titleFontWeight: 'normal' },
  title: { fontSize: 15, fontWeight: 'normal', anchor: 'start', offset: 10, subtitleColor: '#555555' },
  view: { stroke: '#bbbbbb' },
} as const;

/** A Vega-Lite figure as SVG or PNG, as the file's name says. @throws BadRequestError, BadFileError */
export async function saveFigure(spec: TopLevelSpec, path: string): Promise<void> {
  const kind = extname(path).toLowerCase();
  if (kind !== '.svg' && kind !== '.png')
    throw new BadRequestError(`${path} is neither an .svg nor a .png file`, {
      hint: 'say --out figure.svg or --out figure.png',
    });
  const svg = await renderSvg(spec);
  await writeFile(path, kind === '.svg' ? svg : await renderPng(svg)).catch((cause: unknown) => {
    throw new BadFileError(`${path} cannot be written: ${(cause as Error).message}`, {
      hint: 'choose another file with --out',
      cause,
    });
  });
}

export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  const [{ parse, View, Warn }, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const { spec: compiled } = compile({ ...spec, config: { ...look, ...spec.config } });
  const view = new View(parse(compiled), { renderer: 'none', logLevel: Warn });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

async function renderPng(svg: string): Promise<Buffer> {
  const { Resvg } = await import('@resvg/resvg-js');
  return new Resvg(svg, { fitTo: { mode: 'zoom', value: sharpness } }).render().asPng();
}
