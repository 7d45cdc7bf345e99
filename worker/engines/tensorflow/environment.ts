/**
 * libtensorflow reads these once, from the process: set them on the main thread before it is loaded anywhere (the
 * `process.env` of a worker thread is a copy that native code does not see).
 */
const defaults = {
  // Long sums are split among these threads; with one, the bits of a result do not depend on how many cores there are.
  TF_NUM_INTRAOP_THREADS: '1',
  TF_NUM_INTEROP_THREADS: '1',
  // Otherwise some GPU kernels add in the order in which their threads finish.
  TF_DETERMINISTIC_OPS: '1',
  // Otherwise the first process takes all memory of the GPU.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  // Warnings and errors, no notices.
  TF_CPP_MIN_LOG_LEVEL: '1',
};

export interface GpuOptions {
  /** The one GPU that this process may use. */
  gpu?: number | undefined;
  /** Ampere and later may round the factors of float32 products to 10 bits. */
  tf32?: boolean | undefined;
}

/** Sets what the user has not set, for `engine`: that named `tensorflow` sees no GPU, every other one at most one. */
export function setTensorflowDefaults(
  engine = 'auto',
  { gpu, tf32 = false }: GpuOptions = {},
  environment: NodeJS.ProcessEnv = process.env,
): void {
  for (const [name, value] of Object.entries(defaults)) environment[name] ??= value;
  if (!tf32) environment['NVIDIA_TF32_OVERRIDE'] ??= '0';
  if (engine === 'tensorflow') environment['CUDA_VISIBLE_DEVICES'] = '-1';
  else if (gpu !== undefined) environment['CUDA_VISIBLE_DEVICES'] = String(gpu);
  else environment['CUDA_VISIBLE_DEVICES'] ??= '0';
}
