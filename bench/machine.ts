import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Engine } from '../worker/engines/engine.js';
import { normals, type Work } from './measure.js';

/** Multiplies 1024 × 1024 matrices, for as many CPU seconds as each line says, and tells the operations a second. */
const script = `
import numpy, sys, time
a = numpy.random.rand(1024, 1024).astype("f")
b = a.copy()
for line in sys.stdin:
    a @ b
    runs, began = 0, time.process_time()
    while time.process_time() - began < float(line):
        a @ b
        runs += 1
    print(2 * 1024**3 * runs / (time.process_time() - began), flush=True)
`;

/** One thread of OpenBLAS, in a process of its own that waits between questions. */
export interface MachineGemm {
  /** Its mean operations a second over so many CPU seconds. */
  rate: (seconds: number) => Promise<number>;
  stop: () => void;
}

/** Undefined where there is no Python with NumPy. */
export async function startMachineGemm(): Promise<MachineGemm | undefined> {
  const env = { ...process.env, OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
  const python = spawn('python3', ['-c', script], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  python.on('error', () => {});
  python.stdin.on('error', () => {});
  const answers = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  const gemm = {
    async rate(seconds: number) {
      python.stdin.write(`${seconds}\n`);
      const { value } = (await answers.next()) as { value: string | undefined };
      return Number(value ?? NaN);
    },
    stop: () => void python.kill(),
  };
  return (await gemm.rate(0.1)) > 0 ? gemm : undefined;
}

/** One large matMul, and its operations. */
export function largeMatmul<T>(engine: Engine<T>): Work & { flops: number } {
  const n = 1024;
  const [a, b] = [4, 5].map((seed) => engine.upload(normals(n * n, seed), [n, n]));
  return {
    flops: 2 * n ** 3,
    async run() {
      const c = engine.matmul(a!, b!);
      await engine.download(c);
      engine.dispose([c]);
    },
    dispose: () => engine.dispose([a!, b!]),
  };
}
