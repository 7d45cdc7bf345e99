import { TestEnvironment as NodeEnvironment } from 'jest-environment-node';
import { setTensorflowDefaults } from '../../worker/engines/tensorflow/environment.js';

// Out here, because a test's own `process.env` is a copy that native code does not see.
setTensorflowDefaults();

/**
 * Jest runs tests in a vm context that has typed-array classes of its own; native code and WebAssembly
 * glue test `instanceof` against the outer ones. Tests get the outer classes, as in production.
 */
export default class extends NodeEnvironment {
  constructor(...args: ConstructorParameters<typeof NodeEnvironment>) {
    super(...args);
    Object.assign(this.global, {
      ArrayBuffer,
      SharedArrayBuffer,
      DataView,
      Int8Array,
      Int16Array,
      Int32Array,
      BigInt64Array,
      Uint8Array,
      Uint8ClampedArray,
      Uint16Array,
      Uint32Array,
      BigUint64Array,
      Float32Array,
      Float64Array,
    });
  }
}
