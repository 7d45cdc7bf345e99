import { z } from 'zod';
import { shapeSchema } from './layers.js';
import { limits, nameSchema } from './names.js';

/**
 * The part of a model description that stands for a user's own loss function: its name on the workers, and the arrays
 * that θ is made of. It is data; the function itself is in a file that each worker was started with.
 */
export const pluginSchema = z.strictObject({
  name: nameSchema,
  parameters: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(128),
        shape: z.array(z.int().min(1).max(limits.features)).max(6),
      }),
    )
    .min(1)
    .max(limits.layers)
    .refine((parameters) => new Set(parameters.map(({ name }) => name)).size === parameters.length, {
      error: 'two parameters have the same name',
    }),
});

export const pluginNetworkSchema = z.strictObject({
  input: z.strictObject({ shape: shapeSchema }),
  plugin: pluginSchema,
  /** Regularisation: the objective is mean ℓ + (l2/2)·‖θ‖², so the Hessian gains l2·I. */
  l2: z.number().min(0).default(0),
  /** `false`: l2 leaves out all parameters of fewer than two axes. */
  l2Biases: z.boolean().optional(),
});

export type Plugin = z.infer<typeof pluginSchema>;
export type PluginNetwork = z.infer<typeof pluginNetworkSchema>;

/** Where each array lies in θ: in the order of the description, row-major. */
export function pluginLayout({ parameters }: Plugin) {
  let count = 0;
  const slices = parameters.map(({ name, shape }) => {
    const size = shape.reduce((product, length) => product * length, 1);
    count += size;
    return { name, shape, offset: count - size, size };
  });
  return { slices, count };
}
