import type { ConvolutionGeometry } from '../../windows.js';

/** How a convolution's windows are laid out: by runs of neighbouring positions of a line, whose windows overlap. */
export interface Runs {
  /** Positions of a run, runs of a line, runs of an image. */
  length: number;
  ofLine: number;
  ofImage: number;
  /** Values that a run reads: (taps down) · (columns) · channels. */
  patch: number;
  columns: number;
  /** What the runs of a line of the input read of it: runs × columns × channels, −1 for padding. */
  line: Int32Array;
  /** The lines that the runs of an image read, each a line number · runs + run: lines × runs × taps down. */
  patches: Int32Array;
  /**
   * Kernels at each position of a run: patch × K × length, of blocks (taps·channels) × K. And back: the blocks
   * inputs × patch × deltas × length that are added up to taps·channels × K × length, K = inputs·deltas.
   */
  readonly band: (count: number) => Int32Array;
  readonly unband: (inputs: number, deltas: number) => Int32Array;
}

const known = new WeakMap<ConvolutionGeometry, Runs>();

/** The same for the same object: indices live as long as it. */
export function runsOf(geometry: ConvolutionGeometry): Runs {
  const made = known.get(geometry) ?? makeRuns(geometry);
  known.set(geometry, made);
  return made;
}

function makeRuns(geometry: ConvolutionGeometry): Runs {
  const { input, channels, size, strides, dilation, padding, output } = geometry;
  const length = bestLength(geometry);
  const ofLine = output[1] / length;
  const read = columnsRead(geometry, length);
  const columns = read.length;
  const patch = size[0] * columns * channels;

  const line = new Int32Array(ofLine * columns * channels);
  for (const [place] of line.entries()) {
    const run = Math.floor(place / (columns * channels));
    const column = run * length * strides[1] + read[Math.floor(place / channels) % columns]! - padding[1][0];
    line[place] = column >= 0 && column < input[1] ? column * channels + (place % channels) : -1;
  }
  const patches = new Int32Array(output[0] * ofLine * size[0]);
  for (const [place] of patches.entries()) {
    const y = Math.floor(place / (ofLine * size[0]));
    const row = y * strides[0] + (place % size[0]) * dilation[0] - padding[0][0];
    patches[place] = row >= 0 && row < input[0] ? row * ofLine + (Math.floor(place / size[0]) % ofLine) : -1;
  }

  /** For each tap across and position of a run, the column that it reads. */
  const columnOf = (tap: number, position: number) => read.indexOf(position * strides[1] + tap * dilation[1]);
  const band = (count: number) => {
    const indices = new Int32Array(patch * count * length).fill(-1);
    for (const { tap, place, position } of taps())
      for (let k = 0; k < count; k++) indices[(place * count + k) * length + position] = tap * count + k;
    return indices;
  };
  const unband = (inputs: number, deltas: number) => {
    const indices = new Int32Array(size[0] * size[1] * channels * inputs * deltas * length);
    for (const { tap, place, position } of taps())
      for (let k = 0; k < inputs * deltas; k++) {
        const [ofInput, ofDelta] = [Math.floor(k / deltas), k % deltas];
        indices[(tap * inputs * deltas + k) * length + position] =
          ((ofInput * patch + place) * deltas + ofDelta) * length + position;
      }
    return indices;
  };
  /** Each row of a kernel (tap and channel) with its place in the patch, at each position. */
  function* taps() {
    for (let down = 0; down < size[0]; down++)
      for (let across = 0; across < size[1]; across++)
        for (let position = 0; position < length; position++)
          for (let channel = 0; channel < channels; channel++)
            yield {
              tap: (down * size[1] + across) * channels + channel,
              place: (down * columns + columnOf(across, position)) * channels + channel,
              position,
            };
  }
  return {
    ...{ length, ofLine, ofImage: output[0] * ofLine, patch, columns, line, patches },
    band: remembered(band),
    unband: remembered(unband),
  };
}

/** Offsets of the columns that neighbouring windows of one line read, in order. */
function columnsRead({ size, strides, dilation }: ConvolutionGeometry, length: number): number[] {
  const offsets = new Set<number>();
  for (let position = 0; position < length; position++)
    for (let tap = 0; tap < size[1]; tap++) offsets.add(position * strides[1] + tap * dilation[1]);
  return [...offsets].sort((a, b) => a - b);
}

/** Units of one vector register: a product with fewer columns takes as long. */
const lanes = 16;
/** Reading a value once more takes as long as multiplying it with so many columns. */
const readCost = 16;

/** The length of runs that is fastest a position; it divides a line. */
function bestLength(geometry: ConvolutionGeometry): number {
  const width = geometry.output[1];
  const cost = (length: number) => {
    const products = lanes * Math.ceil((length * geometry.filters) / lanes);
    return (columnsRead(geometry, length).length * (products + readCost)) / length;
  };
  const lengths = Array.from({ length: width }, (_, i) => i + 1).filter((length) => width % length === 0);
  return lengths.reduce((best, length) => (cost(length) <= cost(best) ? length : best));
}

/** The same indices for the same numbers. */
function remembered<A extends readonly number[]>(make: (...numbers: A) => Int32Array) {
  const made = new Map<string, Int32Array>();
  return (...numbers: A): Int32Array => {
    const indices = made.get(`${numbers}`) ?? make(...numbers);
    made.set(`${numbers}`, indices);
    return indices;
  };
}
