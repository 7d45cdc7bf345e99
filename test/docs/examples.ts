import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import ts from 'typescript';

/** The fenced code blocks of a language in a Markdown file. */
export function examples(file: string, language: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].flatMap(([, found, code]) =>
    found === language ? [code!] : [],
  );
}

/** The lines of a file's shell examples that run `ihvp`, as words, comments and quotes taken off. */
export function commandLines(file: string): string[][] {
  return examples(file, 'sh')
    .join('\n')
    .split(/\n|&&/)
    .map((line) => line.replace(/#.*/, '').trim().replace(/^npx /, ''))
    .filter((line) => line.startsWith('ihvp '))
    .map((line) => line.split(/\s+/).slice(1));
}

/** What the compiler says of a TypeScript program that lies in the repository's root. */
export function typeErrors(code: string): string[] {
  const path = resolve('example.ts');
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile('tsconfig.json', (file) => ts.sys.readFile(file)).config,
    ts.sys,
    process.cwd(),
  );
  const host = ts.createCompilerHost(options);
  const disk = ts.createCompilerHost(options);
  host.fileExists = (file) => resolve(file) === path || disk.fileExists(file);
  host.readFile = (file) => (resolve(file) === path ? code : disk.readFile(file));
  host.getSourceFile = (file, version, ...rest) =>
    resolve(file) === path
      ? ts.createSourceFile(file, code, version, true)
      : disk.getSourceFile(file, version, ...rest);
  const program = ts.createProgram([path], { ...options, noEmit: true }, host);
  const source = program.getSourceFile(path);
  return ts
    .getPreEmitDiagnostics(program, source)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
