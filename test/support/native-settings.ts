import { existsSync } from 'node:fs';
import { setTensorflowDefaults } from '../../worker/engines/tensorflow/environment.js';

/* What native code reads from the environment of the process: import it before any engine is opened. */

setTensorflowDefaults();

/** A CPU's Vulkan, of Debian's package chromium. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (existsSync(swiftShader)) process.env.VK_ICD_FILENAMES ??= swiftShader;
