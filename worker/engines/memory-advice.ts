/** What a user can do where a tensor does not fit. */
export const memoryAdvice =
  'ask for smaller leaves (--leaf-rows) or fewer right-hand sides at once, or give the worker a smaller cache (--cache-bytes); ' +
  'LiSSA works on whole shards: import the dataset with a smaller --shard-rows';
