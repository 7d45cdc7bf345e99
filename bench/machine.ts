import { spawnSync } from 'node:child_process';
import type { Engine } from '../worker/engines/engine.js';
import { normals, type Work } from './measure.js';

/** Operations a second of one thread of OpenBLAS, where Python with NumPy is there to ask. */
export function machineRate(): number | undefined {
  const script =
    'import numpy,time\na=numpy.random.rand(1024,1024).astype("f");b=a.copy();best=9\n' +
    'for i in range(12):\n t=time.process_time();a@b;best=min(best,time.process_time()-t)\nprint(2*1024**3/best)';
  const env = { ...process.env, OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
  const rate = Number(spawnSync('python3', ['-c', script], { env, encoding: 'utf8' }).stdout?.trim() || NaN);
  return Number.isFinite(rate) && rate > 0 ? rate : undefined;
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
