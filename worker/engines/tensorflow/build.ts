import { spawn } from 'node:child_process';
import { mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { join } from 'node:path';
import { IhvpError, TooLargeError, UnsupportedError } from '../../../protocol/errors.js';
import { setTensorflowDefaults } from './environment.js';
import { readRecipe, tensorflowFolder, type Recipe } from './folder.js';
import { loadAny } from './load.js';

/*
 * npm run engine:tensorflow [-- --wheel tensorflow]
 *
 * tfjs-node's install script downloads libtensorflow 2.9.1 from a host of its own. This takes tfjs-node's sources from
 * npm and libtensorflow, with its C headers, from the Python wheel, and compiles the one against the other. The addon
 * uses nothing but TensorFlow's C API and Node-API, which both promise to stay compatible.
 */

const packages = {
  '@tensorflow/tfjs-node': '4.22.0',
  'google-protobuf': '3.21.4',
  'node-api-headers': '1.9.0',
};
const tensorflow = '2.21.0';
// Any Python does: nothing of the wheel that depends on it is used.
const wheelTags = ['--python-version', '3.12', '--implementation', 'cp', '--abi', 'cp312'].concat([
  '--platform',
  'manylinux_2_27_x86_64',
  '--only-binary',
  ':all:',
]);
/** The wheel and what is unpacked of it, in GiB; the rest is small. */
const space = { 'tensorflow-cpu': 1.5, tensorflow: 2.5 };

const unpackWheel = `
import sys, zipfile
headers = tuple('tensorflow/include/' + part for part in ('tensorflow/c/', 'tensorflow/core/platform/', 'tsl/', 'xla/tsl/'))
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith('tensorflow/libtensorflow_') or name.startswith(headers) and name.endswith('.h'):
            wheel.extract(name)
`;

try {
  const { values } = parseArgs({ options: { wheel: { type: 'string', default: 'tensorflow-cpu' } } });
  if (values.wheel !== 'tensorflow-cpu' && values.wheel !== 'tensorflow')
    throw new UnsupportedError(`unknown wheel "${values.wheel}"`, { hint: 'tensorflow-cpu or tensorflow' });
  await ensure({ wheel: values.wheel, tensorflow, packages });
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof IhvpError && error.hint) console.error(`hint: ${error.hint}`);
  process.exitCode = 1;
}

async function ensure(recipe: Recipe): Promise<void> {
  if (isDeepStrictEqual(readRecipe(), recipe)) say(`already built in ${tensorflowFolder}`);
  else await build(recipe);
  setTensorflowDefaults();
  const { tf, version, device } = loadAny(recipe);
  tf.enableProdMode();
  await tf.setBackend('tensorflow');
  const [product] = tf.matMul([[2]], [[3]]).dataSync();
  if (product !== 6) throw new UnsupportedError(`libtensorflow computes 2 · 3 = ${product}`);
  say(`libtensorflow ${version} works: --engine ${device === 'gpu' ? 'tensorflow-gpu' : 'tensorflow'}`);
}

async function build(recipe: Recipe): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new UnsupportedError(`this builds for Linux on x64, not ${process.platform} on ${process.arch}`, {
      hint: 'use another engine: ihvp worker --engine auto',
    });
  const compiler = process.env['CXX'] ?? 'g++';
  await run('.', compiler, ['--version'], 'install a C++ compiler (Debian: apt-get install g++) or set CXX');
  await run(
    '.',
    'python3',
    ['-m', 'pip', '--version'],
    'install Python with pip (Debian: apt-get install python3-pip)',
  );

  // A half-made build never bears the name that is loaded.
  const folder = tensorflowFolder.replace(/\/$/, '.partial');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await checkSpace(folder, space[recipe.wheel]);
  try {
    for (const [name, version] of Object.entries(recipe.packages)) await unpackPackage(folder, name, version);
    await unpackLibrary(folder, recipe);
    say('compiling the addon');
    await compile(folder, compiler);
    await writeFile(join(folder, 'recipe.json'), JSON.stringify(recipe, null, 2));
    await rm(tensorflowFolder, { recursive: true, force: true });
    await rename(folder, tensorflowFolder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = (bavail * bsize) / 2 ** 30;
  if (free < needed)
    throw new TooLargeError(`${needed} GiB of disk are needed for ${folder}; ${free.toFixed(1)} are free`, {
      hint: 'free some disk space',
    });
}

async function unpackPackage(folder: string, name: string, version: string): Promise<void> {
  say(`${name} ${version}`);
  const target = join(folder, 'node_modules', name);
  await mkdir(target, { recursive: true });
  await run(
    folder,
    'npm',
    ['pack', '--loglevel', 'error', `${name}@${version}`],
    'is the npm registry reachable?',
  );
  const archive = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
  await run(folder, 'tar', ['-xzf', archive, '-C', target, '--strip-components', '1'], 'install tar');
  await rm(join(folder, archive));
}

async function unpackLibrary(folder: string, { wheel, tensorflow }: Recipe): Promise<void> {
  say(`${wheel} ${tensorflow}`);
  const download = ['-m', 'pip', 'download', '--no-deps', '--disable-pip-version-check', ...wheelTags];
  const words = [...download, `${wheel}==${tensorflow}`];
  await run(folder, 'python3', words, 'is the Python index reachable?', 'inherit');
  const file = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (file === undefined) throw new UnsupportedError(`pip left no wheel in ${folder}`);
  await run(folder, 'python3', ['-c', unpackWheel, file], 'is the disk full?');
  await rm(join(folder, file));
}

async function compile(folder: string, compiler: string): Promise<void> {
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) =>
    join('node_modules', '@tensorflow/tfjs-node/binding', name),
  );
  const libraries = ['cc', 'framework'].map((name) => `tensorflow/libtensorflow_${name}.so.2`);
  const flags = ['-std=c++17', '-O2', '-fPIC', '-shared', '-w', '-DNAPI_VERSION=8'];
  const includes = ['-Inode_modules/node-api-headers/include', '-Itensorflow/include'];
  // Node unloads an addon with the last thread that uses it; TensorFlow's own threads would be left without code.
  const linking = ['-Wl,-z,nodelete', '-Wl,-rpath,$ORIGIN/tensorflow'];
  const words = [...flags, ...includes, ...sources, ...libraries, ...linking, '-o', 'tfjs_binding.node'];
  await run(folder, compiler, words, 'is this compiler too old for C++17?');
}

/** Runs a program to its end, its errors to the terminal. Throws `UnsupportedError` if it is missing or fails. */
function run(
  cwd: string,
  program: string,
  words: readonly string[],
  hint: string,
  output: 'ignore' | 'inherit' = 'ignore',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: Error) =>
      reject(new UnsupportedError(`${program} ${words[0]} ${why}`, { hint, cause }));
    const child = spawn(program, words, { cwd, stdio: ['ignore', output, 'inherit'] });
    child.on('error', (error) => fail(`does not start: ${error.message}`, error));
    child.on('close', (code, signal) =>
      code === 0 ? resolve() : fail(`ended with ${signal ?? `code ${code}`}`),
    );
  });
}

function say(line: string): void {
  console.log(`engine:tensorflow: ${line}`);
}
