/**
 * libtensorflow reads these once, from the process: set them on the main thread before it is loaded anywhere (the
 * `process.env` of a worker thread is a copy that native code does not see).
 */
const defaults = {
  // Long sums are split among these threads; with one, the bits of a result do not depend on how many cores there are.
  TF_NUM_INTRAOP_THREADS: '1',
  TF_NUM_INTEROP_THREADS: '1',
  // Ampere and later would round the factors of float32 products to 10 bits.
  NVIDIA_TF32_OVERRIDE: '0',
  // Otherwise the first process takes all memory of the GPU.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  // Warnings and errors, no notices.
  TF_CPP_MIN_LOG_LEVEL: '1',
};

/** Sets what the user has not set. */
export function setTensorflowDefaults(environment: NodeJS.ProcessEnv = process.env): void {
  for (const [name, value] of Object.entries(defaults)) environment[name] ??= value;
}
