import { z } from 'zod';
import { BadFileError, UnsupportedError } from '../../protocol/errors.js';
import { orderLayers } from './tfjs-topology.js';

const quantizationSchema = z.looseObject({
  dtype: z.enum(['uint8', 'uint16', 'float16']),
  scale: z.number().optional(),
  min: z.number().optional(),
});

const weightSchema = z.looseObject({
  name: z.string(),
  shape: z.array(z.int().min(0)),
  dtype: z.string(),
  quantization: quantizationSchema.optional(),
});

const layerSchema = z.looseObject({
  class_name: z.string(),
  config: z.looseObject({ name: z.string().default('without a name') }),
  name: z.string().optional(),
  inbound_nodes: z.array(z.unknown()).optional(),
});

const sequentialSchema = z.looseObject({
  class_name: z.string(),
  // Early Keras wrote the list of layers where later ones write an object that has it.
  config: z.union([
    z.array(layerSchema).transform((layers) => ({ layers })),
    z.looseObject({ layers: z.array(layerSchema) }),
  ]),
});

const functionalSchema = z.looseObject({
  config: z.looseObject({
    layers: z.array(layerSchema),
    input_layers: z.unknown(),
    output_layers: z.unknown(),
  }),
});

const fileSchema = z.looseObject({
  format: z.string().optional(),
  // The topology itself (tfjs), or wrapped together with the training configuration (converted from Keras).
  modelTopology: z.looseObject({ class_name: z.string().optional(), model_config: z.unknown().optional() }),
  weightsManifest: z.array(z.looseObject({ paths: z.array(z.string()), weights: z.array(weightSchema) })),
});

export type TfjsLayer = z.infer<typeof layerSchema>;
export type TfjsFunctional = z.infer<typeof functionalSchema>['config'];
export type WeightSpec = z.infer<typeof weightSchema>;
export type WeightsManifest = z.infer<typeof fileSchema>['weightsManifest'];

/** A layer and the names of those it takes its inputs from. */
export interface PlacedLayer {
  layer: TfjsLayer;
  inputs: string[];
}

/**
 * The layers, in an order of computation that ends at the output and as the file lists them, and the weights manifest of a
 * tfjs `model.json`.
 * Throws `BadFileError` when it is none, `UnsupportedError` when it is neither Sequential nor functional.
 */
export function parseTfjsFile(
  text: string,
  path: string,
): { layers: PlacedLayer[]; listed: TfjsLayer[]; weightsManifest: WeightsManifest } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BadFileError(`${path} is not JSON: ${(cause as Error).message}`, { details: { path }, cause });
  }
  const parse = <T>(schema: z.ZodType<T>, value: unknown): T => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new BadFileError(`${path} is not a tfjs model.json:\n${z.prettifyError(parsed.error)}`, {
      hint: 'save the model with model.save(…), or convert it with tensorflowjs_converter to tfjs_layers_model',
      details: { path },
    });
  };
  const unsupported = (what: string): never => {
    throw new UnsupportedError(`${path}: ${what} is not supported`, {
      hint: 'save the model as a tfjs layers model, Sequential or functional',
      details: { path },
    });
  };
  if ((json as { format?: unknown } | null)?.format === 'graph-model') unsupported('a graph model');
  const { modelTopology, weightsManifest } = parse(fileSchema, json);
  const topology = modelTopology.model_config ?? modelTopology;
  const { class_name: kind } = parse(z.looseObject({ class_name: z.string() }), topology);
  if (kind === 'Sequential') {
    const { layers } = parse(sequentialSchema, topology).config;
    const before = (index: number) => (index === 0 ? [] : [layers[index - 1]!.config.name]);
    const placed = layers.map((layer, index) => ({ layer, inputs: before(index) }));
    return { layers: placed, listed: layers, weightsManifest };
  }
  if (kind !== 'Functional' && kind !== 'Model') unsupported(`a model of class ${kind}`);
  const { config } = parse(functionalSchema, topology);
  return { layers: orderLayers(config), listed: config.layers, weightsManifest };
}
