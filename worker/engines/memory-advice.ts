/** What a user can do where a tensor does not fit. */
export const memoryAdvice =
  'ask for smaller leaves (--leaf-rows; LiSSA linearizes whole shards without it) or fewer right-hand sides at once, ' +
  'or give the worker a smaller cache (--cache-bytes)';
