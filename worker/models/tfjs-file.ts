import { z } from 'zod';
import { BadFileError, UnsupportedError } from '../../protocol/errors.js';

const weightSchema = z.looseObject({
  name: z.string(),
  shape: z.array(z.int().min(0)),
  dtype: z.string(),
  quantization: z.unknown().optional(),
});

const layerSchema = z.looseObject({
  class_name: z.string(),
  config: z.looseObject({ name: z.string().default('without a name') }),
});

const sequentialSchema = z.looseObject({
  class_name: z.string(),
  // Early Keras wrote the list of layers where later ones write an object that has it.
  config: z.union([
    z.array(layerSchema).transform((layers) => ({ layers })),
    z.looseObject({ layers: z.array(layerSchema) }),
  ]),
});

const fileSchema = z.looseObject({
  format: z.string().optional(),
  // The topology itself (tfjs), or wrapped together with the training configuration (converted from Keras).
  modelTopology: z.looseObject({ class_name: z.string().optional(), model_config: z.unknown().optional() }),
  weightsManifest: z.array(z.looseObject({ paths: z.array(z.string()), weights: z.array(weightSchema) })),
});

export type TfjsLayer = z.infer<typeof layerSchema>;
export type WeightSpec = z.infer<typeof weightSchema>;
export type WeightsManifest = z.infer<typeof fileSchema>['weightsManifest'];

/**
 * The layers and the weights manifest of a tfjs `model.json`.
 * Throws `BadFileError` when it is none, `UnsupportedError` when it is no Sequential.
 */
export function parseTfjsFile(
  text: string,
  path: string,
): { layers: TfjsLayer[]; weightsManifest: WeightsManifest } {
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
      hint: 'save the model as a tfjs layers model that is a tf.sequential',
      details: { path },
    });
  };
  if ((json as { format?: unknown } | null)?.format === 'graph-model') unsupported('a graph model');
  const { modelTopology, weightsManifest } = parse(fileSchema, json);
  const topology = modelTopology.model_config ?? modelTopology;
  const { class_name: kind } = parse(z.looseObject({ class_name: z.string() }), topology);
  if (kind !== 'Sequential') unsupported(`a model of class ${kind}`);
  return { layers: parse(sequentialSchema, topology).config.layers, weightsManifest };
}
