import { UnsupportedError } from '../../../protocol/errors.js';
import type { Expansion, Rule } from '../rule.js';
import { arrangementRules } from './arrangement.js';
import { binaryRules } from './binary.js';
import { convolutionExpansions } from './convolution.js';
import { fusedMatMul, matrixProductRules } from './matrix-product.js';
import { reductionRules } from './reductions.js';
import { unaryRules } from './unary.js';
import { zeroGradientKernels } from './zero.js';

/* The kernels that a plugin may apply to what depends on its parameters. Each has a test of its second derivative. */

const rules = new Map<string, Rule>(
  Object.entries({
    ...unaryRules,
    ...binaryRules,
    ...reductionRules,
    ...arrangementRules,
    ...matrixProductRules,
  }),
);
const constants = new Set(zeroGradientKernels);

/** Kernels that run as compositions of other ones. */
export const expansions = new Map<string, Expansion>(
  Object.entries({ ...convolutionExpansions, _FusedMatMul: fusedMatMul }),
);

export const verifiedKernels: readonly string[] = [
  ...new Set([...rules.keys(), ...expansions.keys(), ...constants]),
].sort();

/** The rule of a kernel, or undefined for one whose derivative is zero. @throws UnsupportedError for any other */
export function ruleOf(kernel: string): Rule | undefined {
  const rule = rules.get(kernel);
  if (rule || constants.has(kernel)) return rule;
  throw new UnsupportedError(`the kernel ${kernel} is not verified for second derivatives`, {
    hint: `write the loss with these kernels: ${verifiedKernels.join(', ')}`,
    details: { kernel },
  });
}
