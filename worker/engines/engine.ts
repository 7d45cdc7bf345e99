import type { Device } from './operations.js';

export interface EngineMemory {
  /** Live tensors; a view counts as one. */
  tensors: number;
  /** Bytes of their values. What an engine caches beside them (packed right operands) is not counted. */
  bytes: number;
}

/** A tensor library on one device, in this thread. */
export interface Engine<T> extends Device<T> {
  /** As on the command line: `wasm`, `cpu`. */
  readonly name: string;
  /** The library and its version, for reports: results are bit-for-bit equal within one engine and version only. */
  readonly version: string;
  /** How many bytes of tensors may be kept: the rest of the device's memory is for work and for copies beside them. */
  readonly keepLimit: number;
  /** Bytes of tensors that one pass over several right-hand sides may make. */
  readonly workBytes: number;
  memory(): EngineMemory;
}
