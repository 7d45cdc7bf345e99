import { z } from 'zod';
import type { Comments } from './source-comments.js';

/** The part of JSON Schema that zod writes for our schemas. */
export interface JsonSchema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  pattern?: string;
  format?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  allOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

/** JSON Schema of every named schema, each a `$ref` wherever another one uses it. */
export function jsonSchemas(named: ReadonlyMap<string, z.ZodType>): Map<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of named) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (id) => id });
  return new Map(Object.entries(schemas as Record<string, JsonSchema>));
}

/** Writes a schema as Markdown: what it is for, then a table of fields, for a union one table a variant. */
export function schemaTables(schema: JsonSchema, comments: Comments, link: (name: string) => string): string {
  const variants = schema.oneOf ?? schema.anyOf;
  const paragraphs = comments.text ? [comments.text] : [];
  if (!variants) return [...paragraphs, fieldTable(schema, comments, link)].join('\n\n');
  if (variants.every((variant) => variant.$ref))
    return [...paragraphs, `One of: ${variants.map((variant) => link(variant.$ref!)).join(', ')}.`].join(
      '\n\n',
    );
  for (const [i, variant] of variants.entries()) {
    const own = comments.variants[i] ?? { fields: {}, variants: [] };
    const title = `\`${discriminator(variant)}\``;
    paragraphs.push(own.text ? `${title}: ${own.text}` : title);
    if (Object.keys(variant.properties ?? {}).length > 1) paragraphs.push(fieldTable(variant, own, link));
  }
  return paragraphs.join('\n\n');
}

function discriminator({ properties = {} }: JsonSchema): string {
  const [name, value] = Object.entries(properties).find(([, field]) => field.const !== undefined) ?? [];
  return `${name}: ${JSON.stringify(value?.const)}`;
}

function fieldTable(schema: JsonSchema, comments: Comments, link: (name: string) => string): string {
  if (!schema.properties) return typeText(schema, link);
  const rows = [...fieldRows(schema, comments, link, '')];
  if (rows.length === 0) return 'No fields.';
  return markdownTable(['field', 'type', 'default', 'meaning'], rows);
}

function* fieldRows(
  { properties = {}, required = [] }: JsonSchema,
  comments: Comments,
  link: (name: string) => string,
  prefix: string,
): Generator<string[]> {
  for (const [name, field] of Object.entries(properties)) {
    const own = comments.fields[name] ?? { fields: {}, variants: [] };
    const fallback = required.includes(name)
      ? ''
      : field.default === undefined
        ? 'optional'
        : `\`${JSON.stringify(field.default)}\``;
    yield [`\`${prefix}${name}\``, typeText(field, link), fallback, own.text ?? ''];
    if (field.properties) yield* fieldRows(field, own, link, `${prefix}${name}.`);
    else if (field.items?.properties) yield* fieldRows(field.items, own, link, `${prefix}${name}[].`);
  }
}

/** `integer ≥ 1`, `[rhs](#rhs)`, `"cg"`, `number[]`. */
function typeText(schema: JsonSchema, link: (name: string) => string): string {
  const options = schema.oneOf ?? schema.anyOf;
  if (schema.$ref) return link(schema.$ref);
  if (schema.allOf) return schema.allOf.map((part) => typeText(part, link)).join(' and ');
  if (options) return options.map((option) => typeText(option, link)).join(' or ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (schema.type === 'array') {
    const item = typeText(schema.items ?? {}, link);
    return /[ ,]/.test(item) ? `array of ${item}` : `${item}[]`;
  }
  if (schema.format === 'date-time') return 'UTC time, ISO 8601';
  if (schema.pattern) return `string \`${schema.pattern}\``;
  return `${schema.type ?? 'anything'}${range(schema)}`;
}

function range({ minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const limit = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined;
  const least = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined;
  if (exclusiveMinimum !== undefined) return ` > ${exclusiveMinimum}`;
  if (least !== undefined && limit !== undefined) return ` ${least}…${limit}`;
  if (least !== undefined) return ` ≥ ${least}`;
  return limit === undefined ? '' : ` ≤ ${limit}`;
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
