import type { Activation, LayerDescription, LayerOf } from '../../protocol/layers.js';
import { sizeOf, windowOptions } from '../../protocol/shapes.js';
import type { ParameterArray, ResolvedLayer } from '../../protocol/shapes.js';
import type { Operations } from '../engines/operations.js';
import { activationLayer } from './activation-layer.js';
import { affineLayer } from './affine.js';
import { convolutionLayer } from './convolution.js';
import { denseLayer } from './dense.js';
import { depthwiseLayer } from './depthwise.js';
import { embeddingLayer } from './embedding.js';
import type { Layer } from './layer.js';
import { averageMap, copyMap, linearLayer } from './linear.js';
import { maxPoolingLayer } from './max-pooling.js';
import { addLayer, concatenateLayer, multiplyLayer } from './merges.js';
import { normaliseLayer } from './normalise.js';
import { cycled, windowGeometry } from '../windows.js';

/**
 * A described layer as layers of the curvature maps, to be run one after the other: the first takes its inputs. None,
 * where it changes nothing but the shape. `slices` are its parameters; `inputVaries`: whether one decides an input.
 */
export function bindLayer<T>(
  ops: Operations<T>,
  { name, layer, inputShapes, outputShape, parameters }: ResolvedLayer,
  slices: readonly T[],
  inputVaries: boolean,
): readonly Layer<T>[] {
  const input = inputShapes[0]!;
  const channels = input.at(-1)!;
  const positions = sizeOf(input) / channels;
  const parameter = (part: ParameterArray['part']) =>
    slices[parameters.findIndex((array) => array.part === part)];
  const bias = parameter('bias');
  const pointwise = (kernel: T, shape: readonly number[], varies: boolean) =>
    convolutionLayer(
      ops,
      name,
      windowGeometry([sizeOf(shape.slice(0, -1)), shape.at(-1)!], oneTap, 'valid'),
      { kernel, bias },
      varies,
    );

  const affine = () => {
    const [gamma, beta] = [parameter('gamma'), parameter('beta')];
    return slices.length === 0
      ? []
      : [affineLayer(ops, name, positions, channels, { gamma, beta }, inputVaries)];
  };

  switch (layer.type) {
    case 'dense': {
      const kernel = parameter('kernel')!;
      const linear =
        positions === 1
          ? denseLayer(ops, name, { kernel, bias }, inputVaries)
          : pointwise(kernel, input, inputVaries);
      return [linear, ...activated(ops, name, layer.activation)];
    }
    case 'conv1d':
    case 'conv2d': {
      const geometry = windowGeometry(input, windowOptions(layer), layer.padding);
      const kernel = parameter('kernel')!;
      return [
        convolutionLayer(ops, name, geometry, { kernel, bias }, inputVaries),
        ...activated(ops, name, layer.activation),
      ];
    }
    case 'depthwiseConv2d':
    case 'separableConv2d': {
      const geometry = windowGeometry(input, windowOptions(layer), layer.padding);
      const kernel = parameter('depthwise_kernel')!;
      const second = parameter('pointwise_kernel');
      const depthwise = depthwiseLayer(
        ops,
        name,
        geometry,
        { kernel, bias: second === undefined ? bias : undefined },
        inputVaries,
      );
      const between = [...geometry.output, channels * layer.depthMultiplier];
      return [
        depthwise,
        ...(second === undefined ? [] : [pointwise(second, between, true)]),
        ...activated(ops, name, layer.activation),
      ];
    }
    case 'maxPooling1d':
    case 'maxPooling2d':
    case 'globalMaxPooling1d':
    case 'globalMaxPooling2d':
      return [maxPoolingLayer(ops, name, poolingGeometry(layer, input))];
    case 'averagePooling1d':
    case 'averagePooling2d':
    case 'globalAveragePooling1d':
    case 'globalAveragePooling2d':
      return [linearLayer(ops, name, averageMap(ops, poolingGeometry(layer, input)))];
    case 'zeroPadding2d': {
      const [[top], [left]] = layer.padding;
      const indices = placesOf(outputShape, ([y, x, c]) => {
        const [row, column] = [y! - top, x! - left];
        const inside = row >= 0 && row < input[0]! && column >= 0 && column < input[1]!;
        return inside ? (row * input[1]! + column) * channels + c! : -1;
      });
      return [linearLayer(ops, name, copyMap(ops, sizeOf(input), indices))];
    }
    case 'upSampling2d': {
      const [tall, wide] = layer.size;
      const indices = placesOf(
        outputShape,
        ([y, x, c]) => (Math.floor(y! / tall) * input[1]! + Math.floor(x! / wide)) * channels + c!,
      );
      return [linearLayer(ops, name, copyMap(ops, sizeOf(input), indices))];
    }
    case 'batchNormalization':
      return [standardise(ops, name, layer, positions), ...affine()];
    case 'layerNormalization':
      return [normaliseLayer(ops, name, positions, channels, layer.epsilon), ...affine()];
    case 'embedding':
      return [embeddingLayer(ops, name, sizeOf(input), parameter('embeddings')!)];
    case 'add':
      return [addLayer(ops, name)];
    case 'multiply':
      return [multiplyLayer(ops, name)];
    case 'concatenate': {
      const axis = layer.axis < 0 ? input.length + layer.axis : layer.axis;
      return [
        concatenateLayer(
          ops,
          name,
          inputShapes.map((shape) => sizeOf(shape.slice(axis))),
        ),
      ];
    }
    case 'activation':
      return activated(ops, name, layer.activation, layer.alpha);
    case 'flatten':
    case 'reshape':
    case 'dropout':
      return [];
  }
}

const oneTap = { size: [1], strides: [1], dilation: [1] };

const activated = <T>(ops: Operations<T>, name: string, activation: Activation, alpha?: number) =>
  activation === 'linear' ? [] : [activationLayer(ops, name, activation, alpha)];

type Pooling = Extract<LayerDescription, { type: `${string}Pooling${'1d' | '2d'}` }>;

function poolingGeometry(layer: Pooling, input: readonly number[]) {
  if ('poolSize' in layer) return windowGeometry(input, windowOptions(layer), layer.padding);
  const size = input.slice(0, -1);
  return windowGeometry(input, { size, strides: size, dilation: size.map(() => 1) }, 'valid');
}

/** For each value of a row of three axes the place that `from` tells. */
function placesOf(
  [height, width, channels]: readonly number[],
  from: (index: number[]) => number,
): Int32Array {
  return Int32Array.from({ length: height! * width! * channels! }, (_, i) => {
    const position = Math.floor(i / channels!);
    return from([Math.floor(position / width!), position % width!, i % channels!]);
  });
}

/** (x − mean)/√(variance + ε) with the moving statistics. */
function standardise<T>(
  ops: Operations<T>,
  name: string,
  { mean, variance, epsilon }: LayerOf<'batchNormalization'>,
  positions: number,
): Layer<T> {
  const scales = variance.map((value) => 1 / Math.sqrt(value + epsilon));
  const width = mean.length * positions;
  const wide = (values: readonly number[]) =>
    ops.constant(
      Float32Array.from(cycled(values.length, positions), (channel) => values[channel]!),
      [1, width],
    );
  const [scale, offset] = [wide(scales), wide(mean.map((value, i) => -value * scales[i]!))];
  const scaled = (rows: T) => ops.mul(rows, scale);
  return linearLayer(ops, name, {
    inputs: width,
    outputs: width,
    forward: scaled,
    adjoint: scaled,
    offset,
    held: [scale, offset],
  });
}
