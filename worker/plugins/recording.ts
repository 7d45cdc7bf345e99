import * as tf from '@tensorflow/tfjs';
import { UnsupportedError } from '../../protocol/errors.js';
import { checkAllocated } from '../engines/wasm-memory.js';
import { expansions, ruleOf } from './gradients/verified.js';
import { plainProduct } from './gradients/matrix-product.js';
import type { Tape } from './tape.js';
import { webgpuKernels } from './webgpu-kernels.js';

type Tensors = Readonly<Record<string, tf.Tensor>>;
type CustomGradient = Parameters<typeof tf.customGrad>[0];

/** The operations of tfjs whose own first-order gradient is replaced by that of the kernels they run. */
const knownCustomGradients = new Set([
  'logSoftmax',
  'logSigmoid',
  'softmaxCrossEntropy',
  'fusedMatMul',
  'fusedConv2d',
  'fusedDepthwiseConv2d',
]);

/**
 * Runs `work` (synchronous) with every kernel that TensorFlow.js executes passing through here: all of its operations,
 * on every backend, go through one method of its one engine object. Kernels on what depends on the tape's watched
 * tensors are recorded, or refused if no verified rule is known; without a tape kernels only take their plain form.
 * tfjs's own gradients, its registry included, have no part in it.
 */
export function recorded<R>(tape: Tape | undefined, work: () => R): R {
  const engine = tf.engine();
  const execute = engine.runKernel.bind(engine);
  let inKernel = false;
  const native = {
    runKernel: (kernel: string, inputs: tf.NamedTensorMap, attrs?: tf.NamedAttrMap) => {
      inKernel = true;
      try {
        const substitute = tf.getBackend() === 'webgpu' ? webgpuKernels[kernel] : undefined;
        const result: tf.Tensor | tf.Tensor[] = substitute
          ? substitute(inputs, attrs ?? {}, () => execute(kernel, inputs, attrs))
          : execute(kernel, inputs, attrs);
        for (const output of [result].flat()) checkAllocated(output);
        return result;
      } finally {
        inKernel = false;
      }
    },
    read: engine.read.bind(engine),
    readSync: engine.readSync.bind(engine),
  };
  const run = (kernel: string, given: tf.NamedTensorMap, attrs: tf.NamedAttrMap = {}) => {
    // Some kernels are made of others, as in tfjs-node: the rule of the whole counts, not theirs too.
    if (inKernel) return execute<tf.Tensor | tf.Tensor[]>(kernel, given, attrs);
    const inputs = present(given);
    const depends = tape ? checkInputs(tape, kernel, inputs) : false;
    if (kernel === tf.BatchMatMul) {
      const plain = plainProduct(inputs, attrs);
      if (plain) return plain();
      inputs.b = packable(inputs.b!);
      if (!depends) return native.runKernel(kernel, inputs, attrs);
    } else if (!depends) return native.runKernel(kernel, given, attrs);
    const expansion = expansions.get(kernel);
    if (expansion) return expansion(inputs, attrs);
    const rule = ruleOf(kernel);
    const result = native.runKernel(kernel, kernel === tf.BatchMatMul ? inputs : given, attrs);
    const outputs = Array.isArray(result) ? result : [result];
    // An integer result is a constant too: its derivative is zero where it has one.
    if (rule && outputs.every(({ dtype }) => dtype === 'float32'))
      tape!.record({ kernel, inputs, attrs, outputs });
    else for (const piece of outputs) tape!.recordPiece(piece);
    return result;
  };
  const refuseReading = (dataId: object) => {
    if (tape?.dependsOnData(dataId))
      throw new UnsupportedError('the loss reads a value that depends on its parameters', {
        hint: 'keep it a tensor: use tf.where instead of a branch, and no dataSync, arraySync or print',
      });
  };
  Object.assign(engine, {
    runKernel: run,
    customGrad: (f: CustomGradient) => forwardOnly(f, engine.state.activeScope?.name),
    readSync: (dataId: object) => {
      refuseReading(dataId);
      return native.readSync(dataId);
    },
    read: (dataId: object) => {
      refuseReading(dataId);
      return native.read(dataId);
    },
  });
  try {
    return work();
  } finally {
    for (const name of ['runKernel', 'customGrad', 'readSync', 'read']) Reflect.deleteProperty(engine, name);
  }
}

/** Optional inputs that were not given are left out. */
const present = (inputs: tf.NamedTensorMap): Record<string, tf.Tensor> =>
  Object.fromEntries(Object.entries(inputs).filter(([, input]) => input instanceof tf.Tensor));

/** Whether an input depends on what is watched. */
function checkInputs(tape: Tape, kernel: string, inputs: Tensors): boolean {
  let depends = false;
  for (const input of Object.values(inputs)) {
    if (tape.depends(input)) depends = true;
    else if (tape.dependsOnData(input.dataId))
      throw new UnsupportedError(`${kernel} takes a tensor that shares its values with a traced one`, {
        hint: 'make no tf.variable in the loss',
        details: { kernel },
      });
  }
  return depends;
}

/** A gradient written by hand says nothing of second derivatives: the kernels of the value do. */
function forwardOnly(f: CustomGradient, scope: string | undefined) {
  const operation = scope?.replace(/__op$/, '');
  if (operation === undefined || !knownCustomGradients.has(operation))
    throw new UnsupportedError(`tf.customGrad has no second derivative (in ${operation ?? 'the loss'})`, {
      hint: 'write the loss in operations of TensorFlow.js alone',
    });
  return (...inputs: tf.Tensor[]) => f(...inputs, () => undefined).value;
}

const packedShapes = new WeakMap<object, string>();

/**
 * The wasm backend packs a right operand once and keeps the packing by data id alone: the same data through another
 * shape would be read wrongly, without an error. Such a view is copied.
 */
function packable(b: tf.Tensor): tf.Tensor {
  if (tf.getBackend() !== 'wasm') return b;
  const shape = b.shape.join('×');
  const packed = packedShapes.get(b.dataId);
  if (packed === undefined) packedShapes.set(b.dataId, shape);
  return packed === undefined || packed === shape ? b : tf.mul(b, 1);
}
