import {
  addProduct,
  advance,
  get,
  instantiate,
  load,
  loadTwice,
  repeatWhileBelow,
  set,
  store,
  type Kernel,
} from './wasm-module.js';

/** Rows that a kernel works on at a time: eight sums or weights, and the values they meet, are all in registers. */
export const [narrow, wide] = [2, 4] as const;
/** Values of each row that one turn of a loop takes. */
export const stride = 4;

const bytesOfPair = 16;
const pairsOfTurn = stride / 2;
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const rows = range(narrow + wide);
/** What follows the rows' addresses: where the first row ends, and where the sums or weights are. */
const [end, numbers] = [narrow + wide, narrow + wide + 1];
const addresses = narrow + wide + 2;
const [eight, met] = [range(narrow * wide).map((k) => addresses + k), addresses + narrow * wide];

const loop = (turn: (bytes: number) => number[]) =>
  repeatWhileBelow(get(0), get(end), [
    ...range(pairsOfTurn).flatMap((pair) => turn(pair * bytesOfPair)),
    ...rows.flatMap((row) => advance(row, pairsOfTurn * bytesOfPair)),
  ]);

/** The sums aᵢᵀbⱼ (j fastest), in two halves each, for two rows a and four rows b. */
const dots: Kernel = {
  addresses,
  pairs: narrow * wide + rows.length,
  body: [
    ...loop((bytes) => [
      ...rows.flatMap((row) => [...load(get(row), bytes), ...set(met + row)]),
      ...eight.flatMap((sum, k) => [
        ...addProduct(get(sum), get(met + Math.floor(k / wide)), get(met + narrow + (k % wide))),
        ...set(sum),
      ]),
    ]),
    ...eight.flatMap((sum, k) => store(get(numbers), k * bytesOfPair, get(sum))),
  ],
};

/** yⱼ += Σᵢ wⱼᵢ·xᵢ (i fastest) for two rows y and four rows x. */
const combine: Kernel = {
  addresses,
  pairs: narrow * wide + wide,
  body: [
    ...eight.flatMap((weight, k) => [...loadTwice(get(numbers), 8 * k), ...set(weight)]),
    ...loop((bytes) => [
      ...range(wide).flatMap((i) => [...load(get(narrow + i), bytes), ...set(met + i)]),
      ...range(narrow).flatMap((j) =>
        store(
          get(j),
          bytes,
          range(wide).reduce(
            (sum, i) => addProduct(sum, get(met + i), get(eight[j * wide + i]!)),
            load(get(j), bytes),
          ),
        ),
      ),
    ]),
  ],
};

/** Both kernels, over a memory of their own. Arguments: two rows, four rows, the end of the first row, sums or weights. */
export const panelKernels = (bytes: number) => instantiate({ dots, combine }, bytes);
