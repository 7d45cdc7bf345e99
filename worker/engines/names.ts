/** The engines, fastest first: the order in which `auto` tries them. */
export const engineNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type EngineName = (typeof engineNames)[number];

/** What `--engine` may name. */
export const engineChoices = ['auto', ...engineNames] as const;
