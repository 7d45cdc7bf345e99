import type { WeightSpec } from './tfjs-file.js';

/** Little-endian bytes of a weight as float32; uint8 and uint16 stand for `scale`·value + `min`. */
export function decodeWeight(bytes: Uint8Array, quantization: WeightSpec['quantization']): Float32Array {
  const { buffer } = Uint8Array.from(bytes);
  if (quantization === undefined) return new Float32Array(buffer);
  const { dtype, scale = 1, min = 0 } = quantization;
  if (dtype === 'float16') return Float32Array.from(new Uint16Array(buffer), halfToNumber);
  const codes = dtype === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer);
  return Float32Array.from(codes, (code) => scale * code + min);
}

/** IEEE 754 half precision: 1 bit sign, 5 exponent, 10 fraction. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
