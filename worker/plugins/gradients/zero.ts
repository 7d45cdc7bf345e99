/**
 * Kernels whose derivative is zero wherever it exists: their results are constants of the trace. Their inputs may
 * depend on parameters; nothing flows back.
 */
export const zeroGradientKernels: readonly string[] = [
  'ArgMax',
  'ArgMin',
  'Ceil',
  'Equal',
  'Fill',
  'Floor',
  'Greater',
  'GreaterEqual',
  'IsFinite',
  'IsInf',
  'IsNan',
  'Less',
  'LessEqual',
  'LogicalAnd',
  'LogicalNot',
  'LogicalOr',
  'NotEqual',
  'OneHot',
  'OnesLike',
  'Round',
  'Sign',
  'Step',
  'ZerosLike',
];
