/** M⁻¹, symmetric positive definite and near to (H + λI)⁻¹: the closer, the fewer iterations. */
export interface Preconditioner {
  /** `into[k]` ← M⁻¹·rₖ, each of length p. The residuals are not written to. */
  apply(residuals: readonly Float64Array[], into: readonly Float64Array[]): void | Promise<void>;
}
