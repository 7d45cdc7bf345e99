/** M⁻¹, symmetric positive definite and near to (H + λI)⁻¹: the closer, the fewer iterations. */
export interface Preconditioner {
  /** `into` ← M⁻¹·r, one vector of length p each. `residual` is not written to. */
  apply(residual: Float64Array, into: Float64Array): void;
}
