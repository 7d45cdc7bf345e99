/** The library: `import { connect } from 'ihvp'`. */
export { connect, Client, type ClientOptions, type Result, type WatchHandlers } from './client.js';
export * from './errors.js';
export type { Manifest } from './dataset.js';
export type { Job, JobState, Progress, Report, StoredFile } from './jobs.js';
export { parameterLayout, type Model, type Network, type ParameterLayout } from './model.js';
export { requestSchema, type Request, type RequestInput, type Rhs } from './requests.js';
export { names } from './subjects.js';
export { decodeVectors, encodeVectors, type VectorBlock } from './vectors.js';
export { version } from './version.js';
