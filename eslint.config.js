import tseslint from 'typescript-eslint';
import importX from 'eslint-plugin-import-x';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';

// protocol ← datasets ← {worker, coordinator} ← cli; solvers stand alone. `from` may not be imported by `target`.
const zone = (target, from, message) => ({
  target: `./${target}`,
  from: from.map((room) => `./${room}`),
  message,
});
const outside = ['test', 'bench', 'examples'];
const directions = [
  zone(
    'protocol',
    ['datasets', 'worker', 'coordinator', 'cli', 'dashboard', ...outside],
    'protocol imports no other room.',
  ),
  zone(
    'datasets',
    ['worker', 'coordinator', 'cli', 'dashboard', ...outside],
    'datasets imports protocol only.',
  ),
  zone(
    'worker',
    ['coordinator', 'cli', 'dashboard', ...outside],
    'worker imports protocol and datasets only.',
  ),
  zone(
    'coordinator',
    ['worker', 'cli', 'dashboard', ...outside],
    'coordinator imports protocol and datasets only.',
  ),
  zone('cli', outside, 'the command imports no tests, benches or examples.'),
  {
    target: './coordinator/solvers',
    from: './',
    except: ['./coordinator/solvers'],
    message:
      'A solver is a recursion over an abstract operator: it imports nothing outside coordinator/solvers.',
  },
  {
    target: './worker/curvature',
    from: './worker/engines',
    except: ['./operations.ts'],
    message: "curvature/ sees the tensor-operation interface only, never an engine's own types.",
  },
];

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'tsconfig.json' })] },
    rules: {
      'import-x/no-cycle': 'error',
      'import-x/no-self-import': 'error',
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones: directions }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['coordinator/solvers/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^[^.]', message: 'A solver imports no package.' }] },
      ],
    },
  },
);
