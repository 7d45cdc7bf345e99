import type * as tf from '@tensorflow/tfjs';

/** One kernel that ran: what its gradient may use. All of it is on the tape, so gradients of gradients follow. */
export interface Executed {
  kernel: string;
  inputs: Readonly<Record<string, tf.Tensor>>;
  attrs: object;
  outputs: readonly tf.Tensor[];
}

/** For each input the product dyᵀ·∂y/∂input, made only if it is asked for; inputs left out have none. */
export type InputGradients = Record<string, () => tf.Tensor>;

/**
 * A kernel's vector-Jacobian product, `dy` having one tensor for each output. It is written in tfjs operations whose
 * kernels have verified rules themselves: so its own derivative is right, to any order.
 */
export type Rule = (dy: readonly tf.Tensor[], executed: Executed) => InputGradients;

/** The same value made of other operations, which are recorded in the kernel's place. */
export type Expansion = (inputs: Readonly<Record<string, tf.Tensor>>, attrs: object) => tf.Tensor;

/** The attributes of a kernel, as tfjs declares them (`tf.SumAttrs`, …). */
export const attributes = <A extends object>({ attrs }: { attrs: object }): A => attrs as A;
