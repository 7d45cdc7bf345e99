/** Engines that execute each operation as it comes, fastest first: what a user's own loss function is computed with. */
export const eagerNames = ['tensorflow-gpu', 'tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type EagerName = (typeof eagerNames)[number];
export const isEager = (name: string) => (eagerNames as readonly string[]).includes(name);

/** Engines that record graphs, which ONNX Runtime runs on a CUDA GPU, on the CPU, or through WebGPU. */
export const recordingNames = ['onnx-cuda', 'onnx', 'onnx-webgpu'] as const;
export type RecordingName = (typeof recordingNames)[number];

export const engineNames = [...recordingNames, ...eagerNames] as const;
export type EngineName = (typeof engineNames)[number];

/** Engines on a GPU, which one thread of a process keeps busy. */
export const isOnGpu = (name: string) => (gpuNames as readonly string[]).includes(name);
const gpuNames = [
  'onnx-cuda',
  'onnx-webgpu',
  'tensorflow-gpu',
  'webgpu',
] as const satisfies readonly EngineName[];

/** What `--engine` may name. */
export const engineChoices = ['auto', ...engineNames] as const;
