import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import * as blocks from '../../protocol/block-outbox.js';
import * as dataset from '../../protocol/dataset.js';
import * as errors from '../../protocol/errors.js';
import * as jobs from '../../protocol/jobs.js';
import * as layers from '../../protocol/layers.js';
import * as lissa from '../../protocol/lissa.js';
import * as methods from '../../protocol/methods.js';
import * as model from '../../protocol/model.js';
import * as shared from '../../protocol/names.js';
import * as plugin from '../../protocol/plugin-model.js';
import * as requests from '../../protocol/requests.js';
import * as services from '../../protocol/services.js';
import * as spectrum from '../../protocol/spectrum.js';
import * as tasks from '../../protocol/tasks.js';
import { jsonSchemas, markdownTable, schemaTables } from './schema-tables.js';
import { SourceComments, type Comments } from './source-comments.js';
import { storesTable, subjectsTable } from './subjects.js';

/*
 * The pages in docs/ are written by hand, except between `<!-- generated: … -->` and `<!-- end -->`: there stand tables
 * made from the protocol's schemas, their doc comments, and the subjects.
 */

const opening = /<!-- generated: (.+?) -->/;
const region = /(<!-- generated: (.+?) -->)[^]*?(<!-- end -->)/g;

export interface Page {
  file: string;
  text: string;
}

/** The Markdown pages directly in a folder. */
export function readPages(folder: string): Page[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.md'))
    .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }));
}

/** What every schema of the protocol is called: its constant without `Schema`, or `<endpoint> request`. */
export function namedSchemas(): Map<string, z.ZodType> {
  const named = new Map<string, z.ZodType>();
  for (const module of [
    shared,
    blocks,
    dataset,
    jobs,
    layers,
    lissa,
    methods,
    model,
    plugin,
    requests,
    services,
    spectrum,
    tasks,
  ])
    for (const [name, value] of Object.entries(module) as [string, unknown][])
      if (value instanceof z.ZodType && !named.has(schemaName(name))) named.set(schemaName(name), value);
  for (const [name, { request, reply }] of Object.entries(services.endpoints)) {
    named.set(`${name} request`, request);
    named.set(`${name} reply`, reply);
  }
  return named;
}

const schemaName = (constant: string) => constant.replace(/Schema$/, '');

/** The names that the pages' `schema` regions show, and the page of each. */
export function shownSchemas(pages: readonly Page[]): Map<string, string> {
  return new Map(
    pages.flatMap(({ file, text }) =>
      [...text.matchAll(region)].flatMap(([, , what]) =>
        what!.startsWith('schema ') ? [[what!.slice('schema '.length), file] as const] : [],
      ),
    ),
  );
}

/** The page with every generated region as the protocol now has it. `source` is the folder of the protocol's source. */
export function pageGenerator(pages: readonly Page[], source: string): (page: Page) => string {
  const comments = new SourceComments(source);
  const schemas = jsonSchemas(namedSchemas());
  const shown = shownSchemas(pages);

  function commentsOf(name: string): Comments {
    const [endpoint, half] = name.split(' ');
    if (!half) return comments.of(`${name}Schema`);
    return comments.of('endpoints').fields[endpoint!]?.fields[half] ?? { fields: {}, variants: [] };
  }

  function generate(what: string, page: Page): string {
    if (what === 'subjects') return subjectsTable();
    if (what === 'stores') return storesTable();
    if (what === 'errors') return errorsTable(comments);
    const name = what.replace(/^schema /, '');
    const schema = schemas.get(name);
    if (!schema) throw new Error(`${page.file}: there is nothing called "${what}" to generate`);
    return schemaTables(schema, commentsOf(name), (other) => {
      const at = shown.get(other);
      return at === undefined ? other : `[${other}](${at === page.file ? '' : at}#${other.toLowerCase()})`;
    });
  }

  return (page) =>
    page.text.replace(
      region,
      (_, start: string, what: string, end: string) =>
        `${start}\n<!-- prettier-ignore-start -->\n\n${generate(what, page)}\n\n<!-- prettier-ignore-end -->\n${end}`,
    );
}

/** True for a region that is opened and never ended, which `pageGenerator` would pass over. */
export function hasOpenRegion(text: string): boolean {
  return opening.test(text.replace(region, ''));
}

function errorsTable(comments: SourceComments): string {
  const classes = Object.entries(errors).filter(
    (entry): entry is [string, typeof errors.IhvpError] =>
      typeof entry[1] === 'function' && 'code' in entry[1],
  );
  return markdownTable(
    ['code', 'class', 'meaning'],
    classes
      .map(([name, { code }]) => [`\`${code}\``, `\`${name}\``, comments.of(name).text ?? ''])
      .sort(([a], [b]) => (a! < b! ? -1 : 1)),
  );
}
