/** Engines that execute each operation as it comes, fastest first: what a user's own loss function is computed with. */
export const eagerNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type EagerName = (typeof eagerNames)[number];

/** The engines, fastest first: the order in which `auto` tries them. */
export const engineNames = ['onnx', ...eagerNames] as const;
export type EngineName = (typeof engineNames)[number];

/** What `--engine` may name. */
export const engineChoices = ['auto', ...engineNames] as const;
