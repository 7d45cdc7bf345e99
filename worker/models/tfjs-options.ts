import { UnsupportedError } from '../../protocol/errors.js';
import type { Activation } from '../../protocol/layers.js';
import type { TfjsLayer } from './tfjs-file.js';

/** The first of the options that is given: tfjs and Keras write the same ones differently. */
export function option(layer: TfjsLayer, ...names: string[]): unknown {
  return names.map((name) => layer.config[name]).find((value) => value !== undefined && value !== null);
}

export function refuse(layer: TfjsLayer, what: string, hint?: string): never {
  const { name } = layer.config;
  throw new UnsupportedError(`layer "${name}": ${what}`, { ...(hint && { hint }), details: { layer: name } });
}

/** What tfjs and Keras call our activations. */
export const activationNames: Readonly<Record<string, Activation | undefined>> = {
  linear: 'linear',
  relu: 'relu',
  leaky_relu: 'leakyRelu',
  elu: 'elu',
  selu: 'selu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  softplus: 'softplus',
};

/** As it is written: a name, or an object of Keras 3 that has one. */
export function activationOf(layer: TfjsLayer): string {
  const value = option(layer, 'activation') ?? 'linear';
  if (typeof value === 'string') return value;
  const { config, class_name } = value as { config?: unknown; class_name?: unknown };
  return typeof config === 'string'
    ? config
    : typeof class_name === 'string'
      ? class_name
      : JSON.stringify(value);
}
