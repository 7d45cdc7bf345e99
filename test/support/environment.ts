import { TestEnvironment as NodeEnvironment } from 'jest-environment-node';
// Out here, because a test's own `process.env` is a copy that native code does not see.
import './native-settings.js';

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
