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

/** What the compiler says of each of these TypeScript programs, as if it lay in the repository's root. */
export function typeErrors(programs: readonly string[]): string[][] {
  const files = new Map(programs.map((code, i) => [resolve(`example-${i}.ts`), code]));
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile('tsconfig.json', (file) => ts.sys.readFile(file)).config,
    ts.sys,
    process.cwd(),
  );
  const host = ts.createCompilerHost(options);
  const disk = ts.createCompilerHost(options);
  host.fileExists = (file) => files.has(resolve(file)) || disk.fileExists(file);
  host.readFile = (file) => files.get(resolve(file)) ?? disk.readFile(file);
  host.getSourceFile = (file, version, ...rest) => {
    const code = files.get(resolve(file));
    return code === undefined
      ? disk.getSourceFile(file, version, ...rest)
      : ts.createSourceFile(file, code, version, true);
  };
  const program = ts.createProgram([...files.keys()], { ...options, noEmit: true }, host);
  return [...files.keys()].map((file) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  );
}
