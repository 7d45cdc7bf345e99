import { benchChains } from './chains.js';
import { benchFarm } from './farm.js';
import { benchProduct } from './product.js';
import { report } from './table.js';

// The farm first: its processes need both cores, and this one has not warmed up an engine of its own yet.
const farm = await benchFarm();
const chains = await benchChains();
report([...(await benchProduct()), ...farm, ...chains]);
