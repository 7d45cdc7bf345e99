import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/**
 * Where `npm run engine:tensorflow` leaves what it builds. It lies inside this package, so that `@tensorflow/tfjs`
 * resolves from there to the one copy that the rest of the worker imports.
 */
export const tensorflowFolder = fileURLToPath(
  new URL('../../../../.ihvp/engines/tensorflow/', import.meta.url),
);

const recipeSchema = z.object({
  /** The PyPI distribution that libtensorflow is taken from. */
  wheel: z.enum(['tensorflow-cpu', 'tensorflow']),
  tensorflow: z.string(),
  /** npm packages by name: exact versions. */
  packages: z.record(z.string(), z.string()),
});

/** What a build is made of; a finished build carries its recipe. */
export type Recipe = z.infer<typeof recipeSchema>;

/** The recipe of the build that lies in `folder`; undefined if there is none. */
export function readRecipe(folder = tensorflowFolder): Recipe | undefined {
  const file = join(folder, 'recipe.json');
  return existsSync(file) ? recipeSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
}
