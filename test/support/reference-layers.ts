import type { Activation, LayerDescription } from '../../protocol/layers.js';
import type { Scalar, Tape } from './tape.js';

/*
 * Every layer from its definition, one value at a time: only its forward map, which the tape differentiates. Rows are
 * nested loops over [height, width, channels]; nothing is shared with the engines.
 */

const sigma = (z: number) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const log1pExp = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
/** e^(−z²)·Σ 2ⁿ z²ⁿ⁺¹/(2n+1)!! · 2/√π: all terms of one sign. */
function erf(z: number): number {
  // 1 − erf(6) < 2⁻⁵³, and the series overflows further out.
  if (Math.abs(z) > 6) return Math.sign(z);
  let [term, sum] = [z, z];
  for (let n = 1; n < 200; n++) sum += term *= (2 * z * z) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
}
const geluGate = (z: number) => Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3);
const seluScale = 1.0507009873554804934193349852946;
const seluAlpha = 1.6732632423543772848170429916717;

/** [φ(z), φ′(z)] */
export const activationAt: Record<Activation, (z: number, alpha?: number) => [number, number]> = {
  linear: (z) => [z, 1],
  relu: (z) => (z > 0 ? [z, 1] : [0, 0]),
  leakyRelu: (z, alpha = 0.2) => (z > 0 ? [z, 1] : [alpha * z, alpha]),
  elu: (z, alpha = 1) => (z > 0 ? [z, 1] : [alpha * Math.expm1(z), alpha * Math.exp(z)]),
  selu: (z) =>
    z > 0
      ? [seluScale * z, seluScale]
      : [seluScale * seluAlpha * Math.expm1(z), seluScale * seluAlpha * Math.exp(z)],
  gelu: (z) => {
    const phi = (1 + erf(z / Math.SQRT2)) / 2;
    return [z * phi, phi + (z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI)];
  },
  geluTanh: (z) => {
    const t = Math.tanh(geluGate(z));
    const slope = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * z * z);
    return [(z * (1 + t)) / 2, (1 + t) / 2 + (z * (1 - t * t) * slope) / 2];
  },
  silu: (z) => [z * sigma(z), sigma(z) + z * sigma(z) * sigma(-z)],
  tanh: (z) => [Math.tanh(z), 1 / Math.cosh(z) ** 2],
  sigmoid: (z) => [sigma(z), sigma(z) * sigma(-z)],
  softplus: (z) => [log1pExp(z), sigma(z)],
};

export interface Rows {
  shape: readonly number[];
  values: readonly Scalar[];
}

/** One axis of a window: [output, place] to the place in the input, as TensorFlow pads. */
function axis(length: number, size: number, stride: number, dilation: number, padding: string) {
  const reach = (size - 1) * dilation + 1;
  const count = padding === 'same' ? Math.ceil(length / stride) : Math.ceil((length - reach + 1) / stride);
  const before = padding === 'same' ? Math.floor(Math.max((count - 1) * stride + reach - length, 0) / 2) : 0;
  return { count, at: (output: number, tap: number) => output * stride + tap * dilation - before };
}

const two = (value: number | readonly number[], first = 1): [number, number] =>
  typeof value === 'number' ? [first, value] : [value[0]!, value[1]!];

/** For each output position the [tap, place of channel 0] pairs within the input. */
function windows(
  shape: readonly number[],
  size: readonly [number, number],
  strides: readonly [number, number],
  dilation: readonly [number, number],
  padding: string,
) {
  const [height, width, channels] =
    shape.length === 2 ? [1, shape[0]!, shape[1]!] : (shape as [number, number, number]);
  const [rows, columns] = [
    axis(height, size[0], strides[0], dilation[0], padding),
    axis(width, size[1], strides[1], dilation[1], padding),
  ];
  const positions: [tap: number, place: number][][] = [];
  for (let y = 0; y < rows.count; y++)
    for (let x = 0; x < columns.count; x++) {
      const inside: [number, number][] = [];
      for (let ky = 0; ky < size[0]; ky++)
        for (let kx = 0; kx < size[1]; kx++) {
          const [row, column] = [rows.at(y, ky), columns.at(x, kx)];
          if (row >= 0 && row < height && column >= 0 && column < width)
            inside.push([ky * size[1] + kx, (row * width + column) * channels]);
        }
      positions.push(inside);
    }
  const output = shape.length === 2 ? [columns.count] : [rows.count, columns.count];
  return { positions, output, channels };
}

/** The layer's output for one row; `next()` hands out its parameters in their order. */
export function applyLayer(
  tape: Tape,
  layer: LayerDescription,
  inputs: readonly Rows[],
  next: (count: number) => readonly Scalar[],
): Rows {
  const { shape, values } = inputs[0]!;
  const last = shape.at(-1)!;
  const spots = values.length / last;
  const range = (length: number) => Array.from({ length }, (_, i) => i);
  const activate = (rows: Rows, activation: Activation, alpha?: number): Rows => ({
    shape: rows.shape,
    values: rows.values.map((z) => tape.map(z, activationAt[activation](z.value, alpha))),
  });
  const dense = (
    rows: Rows,
    kernel: readonly Scalar[],
    bias: readonly Scalar[] | undefined,
    units: number,
  ): Rows => {
    const width = rows.shape.at(-1)!;
    return {
      shape: [...rows.shape.slice(0, -1), units],
      values: range((rows.values.length / width) * units).map((i) => {
        const [spot, unit] = [Math.floor(i / units), i % units];
        const pairs = range(width).map(
          (c) => [rows.values[spot * width + c]!, kernel[c * units + unit]!] as const,
        );
        return tape.products(pairs, bias?.[unit]);
      }),
    };
  };
  const affine = (normal: readonly Scalar[], scale: boolean, center: boolean): Rows => {
    const gamma = scale ? next(last) : undefined;
    const beta = center ? next(last) : undefined;
    return {
      shape,
      values: normal.map((value, i) => {
        const scaled = gamma ? tape.products([[value, gamma[i % last]!]]) : value;
        return beta
          ? tape.combine([
              [scaled, 1],
              [beta[i % last]!, 1],
            ])
          : scaled;
      }),
    };
  };

  switch (layer.type) {
    case 'dense': {
      const kernel = next(last * layer.units);
      const bias = layer.useBias ? next(layer.units) : undefined;
      return activate(dense(inputs[0]!, kernel, bias, layer.units), layer.activation);
    }
    case 'conv1d':
    case 'conv2d': {
      const size = two(layer.kernelSize);
      const { positions, output } = windows(
        shape,
        size,
        two(layer.strides),
        two(layer.dilation),
        layer.padding,
      );
      const kernel = next(size[0] * size[1] * last * layer.filters);
      const bias = layer.useBias ? next(layer.filters) : undefined;
      const sums = positions.flatMap((inside) =>
        range(layer.filters).map((f) =>
          tape.products(
            inside.flatMap(([tap, place]) =>
              range(last).map(
                (c) => [values[place + c]!, kernel[(tap * last + c) * layer.filters + f]!] as const,
              ),
            ),
            bias?.[f],
          ),
        ),
      );
      return activate({ shape: [...output, layer.filters], values: sums }, layer.activation);
    }
    case 'depthwiseConv2d':
    case 'separableConv2d': {
      const { kernelSize: size, depthMultiplier: multiplier } = layer;
      const { positions, output } = windows(shape, size, layer.strides, layer.dilation, layer.padding);
      const kernel = next(size[0] * size[1] * last * multiplier);
      const between = last * multiplier;
      const pointwise = layer.type === 'separableConv2d' ? next(between * layer.filters) : undefined;
      const units = layer.type === 'separableConv2d' ? layer.filters : between;
      const bias = layer.useBias ? next(units) : undefined;
      const sums = positions.flatMap((inside) =>
        range(between).map((i) => {
          const [c, m] = [Math.floor(i / multiplier), i % multiplier];
          return tape.products(
            inside.map(
              ([tap, place]) => [values[place + c]!, kernel[(tap * last + c) * multiplier + m]!] as const,
            ),
            pointwise ? undefined : bias?.[i],
          );
        }),
      );
      const depthwise = { shape: [...output, between], values: sums };
      return activate(pointwise ? dense(depthwise, pointwise, bias, units) : depthwise, layer.activation);
    }
    case 'maxPooling1d':
    case 'maxPooling2d':
    case 'averagePooling1d':
    case 'averagePooling2d':
    case 'globalMaxPooling1d':
    case 'globalMaxPooling2d':
    case 'globalAveragePooling1d':
    case 'globalAveragePooling2d': {
      const spatial = shape.length === 2 ? ([1, shape[0]!] as const) : ([shape[0]!, shape[1]!] as const);
      const size = 'poolSize' in layer ? two(layer.poolSize) : ([...spatial] as [number, number]);
      const strides = 'poolSize' in layer ? two(layer.strides ?? layer.poolSize) : size;
      const { positions, output } = windows(
        shape,
        size,
        strides,
        [1, 1],
        'padding' in layer ? layer.padding : 'valid',
      );
      const pooled = positions.flatMap((inside) =>
        range(last).map((c) => {
          const members = inside.map(([, place]) => values[place + c]!);
          if (layer.type.includes('verage'))
            return tape.combine(members.map((member) => [member, 1 / members.length] as const));
          return tape.combine([
            [members.reduce((best, member) => (member.value > best.value ? member : best)), 1],
          ]);
        }),
      );
      return { shape: 'poolSize' in layer || layer.keepDims ? [...output, last] : [last], values: pooled };
    }
    case 'flatten':
      return { shape: [values.length], values };
    case 'reshape': {
      const known = layer.shape.filter((length) => length > 0).reduce((a, b) => a * b, 1);
      return { shape: layer.shape.map((length) => (length > 0 ? length : values.length / known)), values };
    }
    case 'dropout':
      return inputs[0]!;
    case 'activation':
      return activate(inputs[0]!, layer.activation, layer.alpha);
    case 'zeroPadding2d':
    case 'upSampling2d': {
      const [height, width] = [shape[0]!, shape[1]!];
      const [[top, bottom], [left, right]] =
        layer.type === 'zeroPadding2d'
          ? layer.padding
          : [
              [0, 0],
              [0, 0],
            ];
      const [tall, wide] = layer.type === 'upSampling2d' ? layer.size : [1, 1];
      const [rows, columns] = [height * tall + top + bottom, width * wide + left + right];
      return {
        shape: [rows, columns, last],
        values: range(rows * columns * last).map((i) => {
          const [y, x] = [Math.floor(i / last / columns) - top, (Math.floor(i / last) % columns) - left];
          if (y < 0 || x < 0 || y >= height * tall || x >= width * wide) return tape.node(0);
          return values[(Math.floor(y / tall) * width + Math.floor(x / wide)) * last + (i % last)]!;
        }),
      };
    }
    case 'batchNormalization': {
      const normal = values.map((value, i) => {
        const scale = 1 / Math.sqrt(layer.variance[i % last]! + layer.epsilon);
        return tape.combine([[value, scale]], -layer.mean[i % last]! * scale);
      });
      return affine(normal, layer.scale, layer.center);
    }
    case 'layerNormalization': {
      const normal = range(spots).flatMap((spot) => {
        const members = values.slice(spot * last, (spot + 1) * last);
        const mean = tape.combine(members.map((member) => [member, 1 / last] as const));
        const centred = members.map((member) =>
          tape.combine([
            [member, 1],
            [mean, -1],
          ]),
        );
        const square = centred.map((member) => tape.products([[member, member]]));
        const variance = tape.combine(
          square.map((member) => [member, 1 / last] as const),
          layer.epsilon,
        );
        const root = tape.map(variance, [variance.value ** -0.5, -0.5 * variance.value ** -1.5]);
        return centred.map((member) => tape.products([[member, root]]));
      });
      return affine(normal, layer.scale, layer.center);
    }
    case 'embedding': {
      const table = next(layer.vocabulary * layer.units);
      return {
        shape: [...shape, layer.units],
        values: values.flatMap(({ value }) => table.slice(value * layer.units, (value + 1) * layer.units)),
      };
    }
    case 'add':
      return {
        shape,
        values: values.map((_, i) => tape.combine(inputs.map((input) => [input.values[i]!, 1] as const))),
      };
    case 'multiply':
      return {
        shape,
        values: values.map((_, i) =>
          inputs
            .slice(1)
            .reduce((product, input) => tape.products([[product, input.values[i]!]]), values[i]!),
        ),
      };
    case 'concatenate': {
      const at = layer.axis < 0 ? shape.length + layer.axis : layer.axis;
      const inner = inputs.map((input) => input.shape.slice(at).reduce((a, b) => a * b, 1));
      const outer = values.length / inner[0]!;
      return {
        shape: shape.map((length, i) =>
          i === at ? inputs.reduce((sum, input) => sum + input.shape[at]!, 0) : length,
        ),
        values: range(outer).flatMap((run) =>
          inputs.flatMap((input, i) => input.values.slice(run * inner[i]!, (run + 1) * inner[i]!)),
        ),
      };
    }
  }
}
