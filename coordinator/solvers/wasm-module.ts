/*
 * A WebAssembly module, byte by byte: as much of the binary format (https://webassembly.github.io/spec/core/binary/) as
 * loops over float64 pairs take. Code is a list of bytes; an operand stands before its operation.
 */

export type Code = readonly number[];

/** An unsigned LEB128 number. */
const unsigned = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
const list = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const sized = (bytes: Code): number[] => [...unsigned(bytes.length), ...bytes];
const name = (text: string): number[] => sized([...text].map((letter) => letter.charCodeAt(0)));

const [i32, v128] = [0x7f, 0x7b];
const vector = (operation: number): number[] => [0xfd, ...unsigned(operation)];
/** Alignment (2³ bytes) and offset of an access to memory. */
const at = (bytes: number): number[] => [3, ...unsigned(bytes)];

export const get = (local: number): number[] => [0x20, ...unsigned(local)];
export const set = (local: number): number[] => [0x21, ...unsigned(local)];
/** The pair at an address and some bytes. */
export const load = (address: Code, bytes: number): number[] => [...address, ...vector(0), ...at(bytes)];
/** Both of a pair the one number at an address and some bytes. */
export const loadTwice = (address: Code, bytes: number): number[] => [
  ...address,
  ...vector(10),
  ...at(bytes),
];
export const store = (address: Code, bytes: number, value: Code): number[] => [
  ...[...address, ...value],
  ...[...vector(11), ...at(bytes)],
];
/** sum + a·b, both rounded: the same bits on every machine. */
export const addProduct = (sum: Code, a: Code, b: Code): number[] => [
  ...[...sum, ...a, ...b],
  ...[...vector(0xf2), ...vector(0xf0)],
];
/** An address moves on by fewer than 64 bytes. */
export const advance = (local: number, bytes: number): number[] => [
  ...[...get(local), 0x41, bytes, 0x6a],
  ...set(local),
];
/** Does it at least once, and again as long as one address is below another. */
export const repeatWhileBelow = (address: Code, end: Code, body: Code): number[] => [
  ...[0x03, 0x40, ...body],
  ...[...address, ...end, 0x49, 0x0d, 0, 0x0b],
];

/** What of it is used; TypeScript has it with all of the browser's types only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: object };
};

/** Takes addresses (i32), and has pairs besides, numbered after them. */
export interface Kernel {
  addresses: number;
  pairs: number;
  body: Code;
}

/** Functions over a memory of at least so many bytes. */
export function instantiate<Name extends string>(kernels: Record<Name, Kernel>, bytes: number) {
  const [names, all] = [Object.keys(kernels), Object.values<Kernel>(kernels)];
  const section = (id: number, content: Code) => [id, ...sized(content)];
  const code = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      list(all.map(({ addresses }) => [0x60, ...list(new Array<Code>(addresses).fill([i32])), 0])),
    ),
    ...section(3, list(all.map((_, i) => unsigned(i)))),
    ...section(5, list([[0, ...unsigned(Math.ceil(bytes / 0x10000))]])),
    ...section(7, list([[...name('memory'), 2, 0], ...names.map((each, i) => [...name(each), 0, i])])),
    ...section(
      10,
      list(all.map(({ pairs, body }) => sized([...list([[...unsigned(pairs), v128]]), ...body, 0x0b]))),
    ),
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
  return exports as Record<Name, (...addresses: number[]) => void> & { memory: { buffer: ArrayBuffer } };
}
